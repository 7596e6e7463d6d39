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
//! REVERSE       LRU     SocketKey{cookie, backend}  -> ReverseEntry{frontend, backend}
//! AFFINITY      LRU     AffinityKey{client, service} -> AffinityEntry{backend, time}
//! SOURCE_RANGES LPM     SourceRangeKey{service, prefix} -> SourceRule
//! NETWORKS      LPM     NetworkKey{prefix} -> Network
//! NODE          array*  one NodeEntry
//! FLOWS         LRU     Tuple -> FlowEntry{tuple, how it goes on, backend}
//! FRAGMENTS     LRU     FragmentKey -> Ports
//! DEVICES       hash    interface index -> DeviceEntry
//! PACKETS       array*  one PacketSettings
//! TRACE         array*  one TraceLease
//! EVENTS        ring buffer of TraceEvents
//! STATS         per-CPU array, service index -> ServiceStats
//! COUNTERS      per-CPU array, indexed by Counter
//! AGENT         array*  one AgentEntry; only userspace reads it
//! TRANSITION    array*  one TransitionEntry
//! BEFORE_*      programs that bridging ones hand over to
//!               * BPF_F_MMAPABLE: userspace writes by plain stores
//! ```

mod address;
mod affinity;
mod agent;
mod backend;
mod counter;
mod device;
mod flags;
mod flow;
mod frontend;
mod node;
mod prefix;
mod service;
mod socket;
mod trace;

pub use address::Address;
pub use affinity::{AffinityClient, AffinityEntry, AffinityKey};
pub use agent::{AgentEntry, AgentFlags, Phase, TransitionEntry};
pub use backend::{BackendEntry, BackendFlags, BackendRef};
pub use counter::Counter;
pub use device::{DeviceEntry, DeviceFlags, PacketFlags, PacketSettings};
pub use flow::{FlowEntry, FlowFlags, FragmentKey, Ports, Seen, Tuple};
pub use frontend::{FrontendFlags, FrontendKey4, FrontendKey6, FrontendValue, Scope};
pub use node::{NodeEntry, NodeFlags};
pub use prefix::{MAPPED_BITS, Network, NetworkKey, SourceRangeKey, SourceRule};
pub use service::{EndpointSet, ServiceEntry, ServiceFlags};
pub use socket::{ReverseEntry, SocketKey, SocketPeer};
pub use trace::{ServiceStats, TraceEvent, TraceHook, TraceLease, TraceOutcome};

/// Version of the layout of all maps. It stands in the pin path (`…/v4/…`) and in a read-only
/// global of the programs, so that an agent never adopts maps of another layout.
pub const ABI_VERSION: u32 = 4;

/// IP protocol number of TCP (RFC 9293).
pub const TCP: u8 = 6;
/// IP protocol number of UDP (RFC 768).
pub const UDP: u8 = 17;
/// IP protocol number of SCTP (RFC 9260).
pub const SCTP: u8 = 132;
/// IP protocol number of ICMP (RFC 792).
pub const ICMP: u8 = 1;
/// IP protocol number of ICMPv6 (RFC 4443).
pub const ICMPV6: u8 = 58;
