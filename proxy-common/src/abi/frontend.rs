//! FRONTENDS4 and FRONTENDS6: the address, port and protocol that a client dials.

use super::flags::flags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which destination addresses a frontend key stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Scope {
    /// Exactly the key's address and port.
    Exact = 0,
    /// Any address of this node where NodePorts answer; the key's address is zero.
    Node = 1,
    /// Any port and protocol of the key's address; port and protocol are zero. It says what the address
    /// is beside its exact frontends: a ClusterIP, of which the rest is refused, or an address of this
    /// node, where NodePorts answer.
    Address = 2,
}

/// Key of an IPv4 frontend.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FrontendKey4 {
    /// IPv4 address, network byte order.
    pub address: u32,
    /// Port, network byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`Scope`].
    pub scope: u8,
}

/// Key of an IPv6 frontend.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct FrontendKey6 {
    /// IPv6 address, words in network byte order.
    pub address: [u32; 4],
    /// Port, network byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`Scope`].
    pub scope: u8,
}

/// Value of a frontend of either family: one 64-bit word, so that it is read by one load. All
/// frontends of one service port name the same index.
///
/// A preallocated hash map gives a freed element to the next key at once, while a program may still
/// be about to read the value it found there (kernel/bpf/hashtab.c). So the value carries 24 bits of
/// its key, and a reader that finds others looks again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct FrontendValue {
    /// The kind in the lowest 8 bits, bits of the key above. It stands first: should the kernel copy
    /// the value in parts, a reader meets the new check with the old index and looks again, never the
    /// other way round.
    kind_and_check: u32,
    /// Index into SERVICES; zero for a [`Scope::Address`], which leads to no service port.
    pub service: u32,
}

impl FrontendValue {
    /// A value for the key that has this [`FrontendKey4::check`] or [`FrontendKey6::check`].
    #[inline(always)]
    #[must_use]
    pub const fn new(service: u32, kind: FrontendFlags, check: u32) -> Self {
        Self { service, kind_and_check: check & !0xff | kind.0 as u32 }
    }

    /// What kind of frontend it is.
    #[inline(always)]
    #[must_use]
    pub const fn kind(self) -> FrontendFlags {
        FrontendFlags(self.kind_and_check as u8)
    }

    /// Whether it was written for a key with this check.
    #[inline(always)]
    #[must_use]
    pub const fn is_of(self, check: u32) -> bool {
        (self.kind_and_check ^ check) & !0xff == 0
    }
}

impl core::fmt::Debug for FrontendValue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FrontendValue").field("service", &self.service).field("kind", &self.kind()).finish()
    }
}

/// Spreads two words over 32 bits; the odd factors are those of xxHash.
const fn mix(a: u32, b: u32) -> u32 {
    (a.wrapping_mul(0x9e37_79b1) ^ b).rotate_left(13).wrapping_mul(0x85eb_ca77)
}

impl FrontendKey4 {
    /// Bits of this key that its value carries.
    #[inline(always)]
    #[must_use]
    pub const fn check(&self) -> u32 {
        mix(self.address, (self.port as u32) << 16 | (self.protocol as u32) << 8 | self.scope as u32)
    }
}

impl FrontendKey6 {
    /// Bits of this key that its value carries.
    #[inline(always)]
    #[must_use]
    pub const fn check(&self) -> u32 {
        let [a, b, c, d] = self.address;
        let rest = (self.port as u32) << 16 | (self.protocol as u32) << 8 | self.scope as u32;
        mix(mix(mix(mix(a, b), c), d), rest)
    }
}

flags! {
    /// What kind of frontend a [`FrontendValue`] stands for: exactly one bit is set.
    pub struct FrontendFlags(u8);
    /// `spec.clusterIPs`.
    CLUSTER_IP = 1;
    /// `spec.ports[].nodePort`.
    NODE_PORT = 1 << 1;
    /// `spec.externalIPs`.
    EXTERNAL_IP = 1 << 2;
    /// `status.loadBalancer.ingress[].ip`.
    LOAD_BALANCER = 1 << 3;
    /// The address is a ClusterIP, and what no service port of it serves is refused.
    ADDRESS_ONLY = 1 << 4;
    /// The address is one of this node's, and NodePorts answer there.
    NODE_ADDRESS = 1 << 5;
}

impl FrontendFlags {
    /// True for the kinds that lead to a service port; the others only say what an address is.
    #[inline(always)]
    #[must_use]
    pub const fn leads_to_service(self) -> bool {
        self.0 & (Self::ADDRESS_ONLY.0 | Self::NODE_ADDRESS.0) == 0
    }
}

const _: () = assert!(size_of::<FrontendKey4>() == 8);
const _: () = assert!(size_of::<FrontendKey6>() == 20);
const _: () = assert!(size_of::<FrontendValue>() == 8);
