//! SOURCE_RANGES and NETWORKS: longest-prefix maps of addresses. The kernel matches the bits of a key
//! from its first byte on, so every field before the address counts in full.

use super::Address;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits of an IPv4-mapped address before the IPv4 address.
pub const MAPPED_BITS: u32 = 96;

/// Key of SOURCE_RANGES: a range of clients of one service port.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SourceRangeKey {
    /// Bits that count: the 32 of `service` and those of the address's prefix.
    pub prefix_len: u32,
    /// Index of the service port in SERVICES.
    pub service: u32,
    /// The address; what lies beyond the prefix is zero.
    pub address: Address,
}

impl SourceRangeKey {
    /// The range of `service` that `bits` leading bits of an address name; an IPv4 address has
    /// [`MAPPED_BITS`] more than its own prefix.
    #[inline(always)]
    #[must_use]
    pub const fn new(service: u32, address: Address, bits: u32) -> Self {
        Self { prefix_len: 32 + bits, service, address }
    }
}

/// Why a client may use a load-balancer address: the value of SOURCE_RANGES.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
pub enum SourceRule {
    /// `loadBalancerSourceRanges` says so.
    Range = 1,
    /// It is a load-balancer address of the Service itself: where one is bound to a local interface,
    /// the node talks to itself with it as the source.
    OwnAddress = 2,
}

/// Key of NETWORKS.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct NetworkKey {
    /// Bits of the address that count.
    pub prefix_len: u32,
    /// The address; what lies beyond the prefix is zero.
    pub address: Address,
}

/// What an address belongs to: the value of NETWORKS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
pub enum Network {
    /// Pods of this node (`Node.spec.podCIDRs`).
    Pods = 1,
    /// This node itself.
    Node = 2,
    /// A ServiceCIDR: what is no ClusterIP in it is nobody's.
    Services = 3,
}

impl Network {
    /// The network that a value of NETWORKS stands for.
    #[inline(always)]
    #[must_use]
    pub const fn from_value(value: u32) -> Option<Self> {
        match value {
            1 => Some(Self::Pods),
            2 => Some(Self::Node),
            3 => Some(Self::Services),
            _ => None,
        }
    }
}

const _: () = assert!(size_of::<SourceRangeKey>() == 24);
const _: () = assert!(size_of::<NetworkKey>() == 20);
