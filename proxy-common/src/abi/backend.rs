//! SLOTS and BACKENDS: an endpoint as the kernel holds it, and how it is remembered.

use super::{Address, flags::flags};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A backend as a slot or a memory names it: its index and the generation it was seen in.
///
/// A freed index gets the next generation at once and is reused only after a grace period, so a
/// stale memory is noticed by comparing generations and nothing ever has to be flushed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct BackendRef(pub u64);

impl BackendRef {
    /// Backend `index` in `generation`.
    #[inline(always)]
    #[must_use]
    pub const fn new(index: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | index as u64)
    }

    /// Index into BACKENDS.
    #[inline(always)]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0 as u32
    }

    /// Generation of the entry at the time of the memory.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl core::fmt::Debug for BackendRef {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}@{}", self.index(), self.generation())
    }
}

/// Entry of BACKENDS: half a cache line, so that no entry straddles two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BackendEntry {
    /// Address of the endpoint.
    pub address: Address,
    /// Port, network byte order; from the EndpointSlice, not from the Service.
    pub port: u16,
    /// Facts about the endpoint, and the sets it is in.
    pub flags: BackendFlags,
    /// Number of times this index was freed; survives reuse.
    pub generation: u32,
    /// Index of the service port that owns this backend.
    pub service: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<BackendRef>() == 8);
const _: () = assert!(size_of::<BackendEntry>() == 32);

flags! {
    /// Facts about a backend, as bits. They share a 64-bit word with port and generation, and change by
    /// one store.
    pub struct BackendFlags(u16);
    /// The endpoint runs on this node.
    LOCAL = 1;
    /// The entry stands for an endpoint that can serve: ready, or serving while it terminates. An entry
    /// that was freed has lost it.
    LIVE = 1 << 1;
    /// The cluster set names it: cluster-policy traffic may be pinned to it.
    IN_CLUSTER = 1 << 2;
    /// The local set names it: local-policy traffic may be pinned to it.
    IN_LOCAL = 1 << 3;
}
