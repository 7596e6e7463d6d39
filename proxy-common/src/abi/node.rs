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
}
