//! SERVICES: the endpoint sets and policies of one service port and family.

use super::flags::flags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A range of SLOTS, published by one 64-bit store, so that a reader sees the old set or the new
/// one and never the base of one with the count of the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct EndpointSet(pub u64);

impl EndpointSet {
    /// The set without endpoints.
    pub const EMPTY: Self = Self(0);

    /// A set of `count` slots from slot `base` on.
    #[inline(always)]
    #[must_use]
    pub const fn new(base: u32, count: u32) -> Self {
        Self((count as u64) << 32 | base as u64)
    }

    /// Index of the first slot.
    #[inline(always)]
    #[must_use]
    pub const fn base(self) -> u32 {
        self.0 as u32
    }

    /// Number of slots.
    #[inline(always)]
    #[must_use]
    pub const fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl core::fmt::Debug for EndpointSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}+{}", self.base(), self.count())
    }
}

/// Entry of SERVICES: half a cache line, so that no entry straddles two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ServiceEntry {
    /// What cluster-policy traffic from this node may reach.
    pub cluster: EndpointSet,
    /// What local-policy traffic may reach.
    pub local: EndpointSet,
    /// Idle time of a client's affinity, seconds; zero without session affinity.
    pub affinity_seconds: u32,
    /// Policies.
    pub flags: ServiceFlags,
    /// Index of the first cell of this service port's name in NAMES, plus one; zero for none.
    pub name: u32,
    /// `healthCheckNodePort`, host byte order, where the service answers one; else zero. No program
    /// reads it.
    pub health_check_node_port: u16,
    /// Zero.
    pub reserved: u16,
}

const _: () = assert!(size_of::<ServiceEntry>() == 32);

flags! {
    /// Policies of a service port, as bits.
    pub struct ServiceFlags(u32);
    /// `internalTrafficPolicy: Local`.
    INTERNAL_LOCAL = 1;
    /// `externalTrafficPolicy: Local`.
    EXTERNAL_LOCAL = 1 << 1;
    /// A usable endpoint exists somewhere in the cluster: an empty set means drop, not reject.
    ANY_USABLE = 1 << 2;
    /// `loadBalancerSourceRanges` of this family: SOURCE_RANGES says who may use the load-balancer
    /// addresses.
    SOURCE_RANGES = 1 << 3;
    /// Those source ranges bind clients outside of the cluster only: an operator's choice, not kube-proxy's rule.
    SOURCE_RANGES_OUTSIDE = 1 << 8;
    /// No endpoint is ready: the cluster set holds those that still serve while they terminate. No program
    /// reads this flag and those below; they say why a set is as it is.
    CLUSTER_TERMINATING = 1 << 4;
    /// The same of the local set.
    LOCAL_TERMINATING = 1 << 5;
    /// Topology hints leave those of the ready endpoints to the cluster set that are meant for this node.
    NODE_HINTS = 1 << 6;
    /// Topology hints leave those of the ready endpoints to the cluster set that are meant for its zone.
    ZONE_HINTS = 1 << 7;
}
