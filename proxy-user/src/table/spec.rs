//! What a service port should be: the input of the table.

use crate::{model::PortId, writer::FrontendKey};
use ipnet::IpNet;
use proxy_common::abi::{Address, BackendFlags, FrontendFlags, MAPPED_BITS, ServiceFlags, SourceRule};

/// A service port of one family, as the node should program it.
#[derive(Clone, Copy, Debug)]
pub struct PortSpec<'a> {
    /// Identity.
    pub id: &'a PortId,
    /// `metadata.creationTimestamp` of the Service, seconds since the Unix epoch: where two service
    /// ports claim one frontend, the older has it.
    pub created: i64,
    /// Frontends, each key once.
    pub frontends: &'a [Frontend],
    /// Usable endpoints, strictly ascending by address and port.
    pub members: &'a [Member],
    /// Who may use the load-balancer addresses, each prefix once; heeded where the flags say so.
    pub source_ranges: &'a [SourceRange],
    /// Where the service answers health checks; zero for nowhere.
    pub health_check_node_port: u16,
    /// Idle time of an affinity, seconds; zero without.
    pub affinity_seconds: u32,
    /// Policies.
    pub flags: ServiceFlags,
}

/// A frontend of a service port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Frontend {
    /// What clients dial.
    pub key: FrontendKey,
    /// Its kind.
    pub kind: FrontendFlags,
}

/// A prefix of clients that may use the load-balancer addresses of a service port.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceRange {
    /// Bits of the address that count; of an IPv4-mapped address 96 and those of its own prefix.
    pub bits: u32,
    /// The address; what lies beyond the prefix is zero.
    pub address: Address,
    /// Why they may.
    pub rule: SourceRule,
}

impl SourceRange {
    /// The range `net`.
    #[must_use]
    pub fn new(net: IpNet, rule: SourceRule) -> Self {
        let (address, bits) = prefix_of(net);
        Self { bits, address, rule }
    }
}

/// A network as the longest-prefix maps have it: address, and bits of it that count.
pub(crate) fn prefix_of(net: IpNet) -> (Address, u32) {
    let mapped = if net.addr().is_ipv4() { MAPPED_BITS } else { 0 };
    (net.network().into(), mapped + u32::from(net.prefix_len()))
}

/// An endpoint of a service port and the sets that it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Member {
    /// Address.
    pub address: Address,
    /// Port, network byte order.
    pub port: u16,
    /// Facts about the endpoint.
    pub flags: BackendFlags,
    /// The sets that it belongs to. In neither, it keeps the backend that it has, if it has one: the UDP
    /// flows that go there go on until it cannot serve any more.
    pub sets: Membership,
}

impl Member {
    /// What tells two endpoints of one service port apart.
    pub(crate) const fn key(&self) -> (Address, u16) {
        (self.address, self.port)
    }

    /// The flags of its backend.
    pub(super) const fn backend_flags(&self) -> BackendFlags {
        let mut flags = self.flags.union(BackendFlags::LIVE);
        if self.sets.cluster {
            flags = flags.union(BackendFlags::IN_CLUSTER);
        }
        if self.sets.local {
            flags = flags.union(BackendFlags::IN_LOCAL);
        }
        flags
    }
}

/// The sets that an endpoint belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Membership {
    /// It is in the cluster set.
    pub cluster: bool,
    /// It is in the local set.
    pub local: bool,
}

impl Membership {
    /// In neither set.
    pub const NONE: Self = Self { cluster: false, local: false };

    /// In neither set.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !self.cluster && !self.local
    }
}

/// A map has no room for a change. What was programmed before stays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
#[error("map {map} is full ({capacity} entries)")]
pub struct Full {
    /// Name of the map.
    pub map: &'static str,
    /// Its size in entries.
    pub capacity: u32,
}

/// What becomes of a known service port whose new endpoints do not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenFull {
    /// It keeps all that it has, what it should lose included: clients of a service whose endpoints are
    /// replaced are served while a grace period makes room.
    Keep,
    /// It loses the endpoints that it should lose and keeps the rest.
    Reduce,
}
