//! NODE: what the programs need to know of the node as a whole.

use super::flags::flags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The only entry of NODE.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NodeEntry {
    /// Facts about the node.
    pub flags: NodeFlags,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<NodeEntry>() == 8);

flags! {
    /// Facts about the node, as bits.
    pub struct NodeFlags(u32);
    /// NETWORKS holds ServiceCIDRs. Without them nobody is made to look an address up there.
    SERVICE_CIDRS = 1;
    /// NodePorts answer on IPv4 loopback addresses, to sockets in the node's own network namespace.
    LOCALHOST_V4 = 1 << 1;
    /// As [`Self::LOCALHOST_V4`], on `::1`.
    LOCALHOST_V6 = 1 << 2;
}
