//! The map ABI, shared by type and never by copy. Every type is plain old data without padding
//! (zerocopy's derives reject it), and sizes are asserted at compile time beside each type.
//!
//! ```text
//! FRONTENDS4/6  hash    FrontendKey4/6 -> FrontendValue{service, flags}
//! SERVICES      array*  service index  -> ServiceEntry{cluster set, local set, policy}
//! SLOTS         array*  set.base + i   -> BackendRef{index, generation}
//! BACKENDS      array*  backend index  -> BackendEntry{address, port, generation}
//! NAMES         array*  cells of text; only userspace reads it
//! UDP_FLOWS     LRU     SocketKey{cookie, frontend} -> BackendRef
//! REVERSE       LRU     SocketKey{cookie, backend}  -> SocketPeer (the frontend)
//! COUNTERS      per-CPU array, indexed by Counter
//!               * BPF_F_MMAPABLE: userspace writes by plain stores
//! ```

mod address;
mod backend;
mod counter;
mod flags;
mod frontend;
mod service;
mod socket;

pub use address::Address;
pub use backend::{BackendEntry, BackendFlags, BackendRef};
pub use counter::Counter;
pub use frontend::{FrontendFlags, FrontendKey4, FrontendKey6, FrontendValue, Scope};
pub use service::{EndpointSet, ServiceEntry, ServiceFlags};
pub use socket::{SocketKey, SocketPeer};

/// Version of the layout of all maps. It stands in the pin path (`…/v1/…`) and in a read-only
/// global of the programs, so that an agent never adopts maps of another layout.
pub const ABI_VERSION: u32 = 1;

/// IP protocol number of TCP (RFC 9293).
pub const TCP: u8 = 6;
/// IP protocol number of UDP (RFC 768).
pub const UDP: u8 = 17;
/// IP protocol number of SCTP (RFC 9260).
pub const SCTP: u8 = 132;
