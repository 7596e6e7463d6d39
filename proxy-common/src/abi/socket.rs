//! UDP_FLOWS and REVERSE: what a socket remembers of the services it dialled.

use super::{Address, BackendRef};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A peer of one socket: the frontend it dialled (UDP_FLOWS) or the backend it was given (REVERSE).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SocketKey {
    /// The kernel's socket cookie: unique per socket for the life of the kernel.
    pub cookie: u64,
    /// Address and port of the peer.
    pub peer: SocketPeer,
}

/// Address and port as a socket call carries them.
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
#[repr(C)]
pub struct SocketPeer {
    /// The address; IPv4 in its IPv4-mapped form.
    pub address: Address,
    /// Port, network byte order.
    pub port: u16,
    /// Zero. Not one array: LLVM zeroes those 6 bytes by a call to a byte-wise loop.
    pub reserved: u16,
    /// Zero.
    pub reserved_too: u32,
}

impl SocketPeer {
    /// A peer with `port` in network byte order.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Address, port: u16) -> Self {
        Self { address, port, reserved: 0, reserved_too: 0 }
    }
}

/// Value of REVERSE: the frontend through which a socket reaches a backend, and which backend that was.
///
/// With the backend's generation a reader tells whether the backend is gone: so the agent finds connected
/// UDP sockets that talk to nobody, also those whose backend was removed while no agent ran.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ReverseEntry {
    /// Address of the frontend.
    pub address: Address,
    /// Port of the frontend, network byte order.
    pub port: u16,
    /// IP protocol number of the socket.
    pub protocol: u8,
    /// Zero.
    pub reserved: u8,
    /// Zero.
    pub reserved_too: u32,
    /// The backend.
    pub backend: BackendRef,
}

impl ReverseEntry {
    /// An entry for a socket of `protocol` that dialled `frontend`.
    #[inline(always)]
    #[must_use]
    pub const fn new(frontend: SocketPeer, protocol: u8, backend: BackendRef) -> Self {
        let SocketPeer { address, port, .. } = frontend;
        Self { address, port, protocol, reserved: 0, reserved_too: 0, backend }
    }

    /// The frontend that the socket dialled.
    #[inline(always)]
    #[must_use]
    pub const fn frontend(&self) -> SocketPeer {
        SocketPeer::new(self.address, self.port)
    }
}

const _: () = assert!(size_of::<ReverseEntry>() == 32);
const _: () = assert!(size_of::<SocketPeer>() == 24);
const _: () = assert!(size_of::<SocketKey>() == 32);
