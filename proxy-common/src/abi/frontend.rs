//! FRONTENDS4 and FRONTENDS6: the address, port and protocol that a client dials.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which destination addresses a frontend key stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Scope {
    /// Exactly the key's address and port.
    Exact = 0,
    /// Any address of this node (NodePort); the key's address is zero.
    Node = 1,
    /// Any port and protocol of the key's address, which is a ClusterIP; port and protocol are
    /// zero. Its only use is to refuse what no service port serves.
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

/// Value of a frontend of either family. All frontends of one service port name the same index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FrontendValue {
    /// Index into SERVICES; meaningless with [`FrontendFlags::ADDRESS_ONLY`].
    pub service: u32,
    /// What kind of frontend it is.
    pub flags: FrontendFlags,
}

/// What kind of frontend a [`FrontendValue`] stands for: exactly one bit is set.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct FrontendFlags(pub u32);

impl FrontendFlags {
    /// `spec.clusterIPs`.
    pub const CLUSTER_IP: Self = Self(1);
    /// `spec.ports[].nodePort`.
    pub const NODE_PORT: Self = Self(1 << 1);
    /// `spec.externalIPs`.
    pub const EXTERNAL_IP: Self = Self(1 << 2);
    /// `status.loadBalancer.ingress[].ip`.
    pub const LOAD_BALANCER: Self = Self(1 << 3);
    /// The address is a ClusterIP, and what no service port of it serves is refused.
    pub const ADDRESS_ONLY: Self = Self(1 << 4);

    /// True if every bit of `other` is set here.
    #[inline(always)]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

const _: () = assert!(size_of::<FrontendKey4>() == 8);
const _: () = assert!(size_of::<FrontendKey6>() == 20);
const _: () = assert!(size_of::<FrontendValue>() == 8);
