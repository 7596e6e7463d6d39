//! AFFINITY: the backend that a client keeps for as long as its session affinity lasts.

use super::{Address, BackendRef};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Who has an affinity.
///
/// A packet has a source address. A socket that is about to connect has none yet, so all sockets of one
/// network namespace are one client: a pod, or the node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AffinityClient {
    /// The source address, or the network namespace's cookie in the first two words.
    words: [u32; 4],
    /// 0 for an address, 1 for a network namespace.
    kind: u32,
}

impl AffinityClient {
    /// The client with this source address.
    #[inline(always)]
    #[must_use]
    pub const fn address(address: Address) -> Self {
        Self { words: address.words, kind: 0 }
    }

    /// All sockets of the network namespace with this cookie.
    #[inline(always)]
    #[must_use]
    pub const fn namespace(cookie: u64) -> Self {
        Self { words: [cookie as u32, (cookie >> 32) as u32, 0, 0], kind: 1 }
    }
}

/// Key of AFFINITY: one service port's affinity is shared by all of its frontends, and by no other
/// service port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AffinityKey {
    /// Who.
    pub client: AffinityClient,
    /// Index of the service port in SERVICES.
    pub service: u32,
}

/// Value of AFFINITY.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AffinityEntry {
    /// The backend that the last flow went to.
    pub backend: BackendRef,
    /// When that flow began: nanoseconds of CLOCK_MONOTONIC.
    pub last_flow: u64,
}

const _: () = assert!(size_of::<AffinityKey>() == 24);
const _: () = assert!(size_of::<AffinityEntry>() == 16);
