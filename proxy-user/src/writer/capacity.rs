//! Sizes of the maps.

/// How many entries each map holds. A map that is to hold more is made anew, and replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacities {
    /// Entries of FRONTENDS4 and of FRONTENDS6, each: one per address and port, one per node port, and one
    /// more per ClusterIP and per address of the node.
    pub frontends: u32,
    /// Entries of SERVICES: one per service port and family.
    pub services: u32,
    /// Entries of SLOTS: each set takes the next power of two of its endpoints. A power of two.
    pub slots: u32,
    /// Entries of BACKENDS: one per endpoint and service port.
    pub backends: u32,
    /// 8-byte cells of NAMES. A power of two.
    pub name_cells: u32,
    /// Entries of UDP_FLOWS and of REVERSE, each: one per socket and frontend in use.
    pub sockets: u32,
    /// Entries of AFFINITY: one per client and service port with session affinity.
    pub affinities: u32,
    /// Entries of FLOWS: two per flow of packets.
    pub flows: u32,
    /// Entries of SOURCE_RANGES and of NETWORKS, each; they take memory only while they are used.
    pub prefixes: u32,
}

impl Default for Capacities {
    /// Room for some 4,000 service ports and 32,000 endpoints.
    fn default() -> Self {
        Self {
            frontends: 16_384,
            services: 8_192,
            slots: 131_072,
            backends: 65_536,
            name_cells: 65_536,
            sockets: 32_768,
            affinities: 16_384,
            flows: 65_536,
            prefixes: 65_536,
        }
    }
}

impl Capacities {
    /// Room for `services` service ports with `endpoints` endpoints each.
    #[must_use]
    pub fn for_cluster(services: u32, endpoints: u32) -> Self {
        let ports = services.max(64).saturating_mul(5) / 4;
        let per_set = endpoints.max(1).next_power_of_two();
        Self {
            frontends: ports.saturating_mul(2),
            services: ports,
            slots: ports.saturating_mul(per_set).next_power_of_two(),
            backends: ports.saturating_mul(endpoints.max(1)),
            name_cells: ports.saturating_mul(8).next_power_of_two(),
            ..Self::default()
        }
    }
}
