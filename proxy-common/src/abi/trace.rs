//! TRACE, EVENTS and STATS: live decisions and what each service port carries.

use super::{BackendRef, Tuple};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The only entry of TRACE: until when somebody watches, nanoseconds of CLOCK_MONOTONIC. `shunt trace` renews it
/// every second, so that one that was killed costs nothing for long.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct TraceLease(pub u64);

/// A record of the ring buffer EVENTS: one decision about a new flow or call, or about what is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TraceEvent {
    /// When: nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// What the client named. A socket call has no source yet: unspecified.
    pub before: Tuple,
    /// What became of it; as before where it was not forwarded.
    pub after: Tuple,
    /// The backend; zero where it was not forwarded.
    pub backend: BackendRef,
    /// The socket's cookie; zero for a packet.
    pub cookie: u64,
    /// Index of the service port in SERVICES; [`Self::NO_SERVICE`] where the decision was made before one was found.
    pub service: u32,
    /// Index of the device; zero for a socket call.
    pub device: u32,
    /// A [`TraceHook`].
    pub hook: u16,
    /// A [`TraceOutcome`].
    pub outcome: u16,
    /// What it was counted as, which says why: a [`super::Counter`].
    pub counter: u32,
}

impl TraceEvent {
    /// In place of a service.
    pub const NO_SERVICE: u32 = u32::MAX;
}

/// Where a decision was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum TraceHook {
    /// connect().
    Connect = 1,
    /// sendmsg() of an unconnected UDP socket.
    Send = 2,
    /// A packet that arrived.
    Ingress = 3,
    /// A packet that was about to leave.
    Egress = 4,
}

/// What became of a call or a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum TraceOutcome {
    /// It went to a backend.
    Forwarded = 1,
    /// It was refused with an answer.
    Rejected = 2,
    /// It was dropped.
    Dropped = 3,
    /// It was left alone.
    Passed = 4,
}

/// Entry of the per-CPU array STATS, by service index. Totals since the maps were made: an index may have
/// belonged to another service port before, so a reader compares two moments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ServiceStats {
    /// Flows begun: connections, and unconnected UDP sockets' first datagrams.
    pub flows: u64,
    /// Bytes that clients sent in packets which the packet path translated, IP headers included. What sockets
    /// send is not seen.
    pub bytes_to_backends: u64,
    /// The same of what backends answered.
    pub bytes_to_clients: u64,
}

const _: () = assert!(size_of::<TraceEvent>() == 8 + 40 + 40 + 8 + 8 + 16);
const _: () = assert!(size_of::<ServiceStats>() == 24);
