//! What the datapath reads and writes.

use crate::abi::{
    Address, AffinityEntry, AffinityKey, BackendEntry, BackendRef, Counter, FrontendKey4, FrontendKey6,
    FrontendValue, NodeFlags, ReverseEntry, ServiceEntry, SocketKey, TraceEvent,
};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// A map had no room for an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// The maps, as the datapath sees them. Each method is one look-up or one update; a set is read by
/// one 64-bit load, so it is never half old and half new.
pub trait Tables {
    /// Zero, where a compiler must not know it: LLVM fills an array with known zeros by a function, and up to Linux
    /// 6.1 programs that have any cost the verifier many times as much.
    #[inline(always)]
    fn zero(&self) -> u32 {
        0
    }
    /// Looks up FRONTENDS4.
    fn frontend4(&self, key: &FrontendKey4) -> Option<FrontendValue>;
    /// Looks up FRONTENDS6.
    fn frontend6(&self, key: &FrontendKey6) -> Option<FrontendValue>;
    /// Reads SERVICES. What no decision needs may be left out: name and health check.
    fn service_entry(&self, service: u32) -> Option<ServiceEntry>;
    /// Reads SLOTS.
    fn slot(&self, index: u32) -> Option<BackendRef>;
    /// Reads BACKENDS.
    fn backend(&self, index: u32) -> Option<BackendEntry>;
    /// Looks up UDP_FLOWS: the backend that a socket uses for a frontend.
    fn udp_flow(&self, key: &SocketKey) -> Option<BackendRef>;
    /// Remembers the backend that a socket uses for a frontend.
    fn remember_udp_flow(&self, key: &SocketKey, backend: BackendRef) -> Result<(), Full>;
    /// Looks up REVERSE: the frontend through which a socket reaches a backend.
    fn reverse(&self, key: &SocketKey) -> Option<ReverseEntry>;
    /// Remembers the frontend through which a socket reaches a backend.
    fn remember_reverse(&self, key: &SocketKey, entry: &ReverseEntry) -> Result<(), Full>;
    /// Forgets the frontend through which a socket reaches a backend, if it is remembered.
    fn forget_reverse(&self, key: &SocketKey);
    /// Looks up AFFINITY.
    fn affinity(&self, key: &AffinityKey) -> Option<AffinityEntry>;
    /// Remembers the backend that a client keeps.
    fn remember_affinity(&self, key: &AffinityKey, entry: &AffinityEntry) -> Result<(), Full>;
    /// Whether SOURCE_RANGES lets a client use the load-balancer addresses of a service port.
    fn in_source_ranges(&self, service: u32, source: &Address) -> bool;
    /// Looks up NETWORKS: a [`crate::abi::Network`].
    fn network(&self, address: &Address) -> Option<u32>;
    /// Facts about the node.
    fn node_flags(&self) -> NodeFlags;
    /// CLOCK_MONOTONIC in nanoseconds.
    fn now(&self) -> u64;
    /// 32 random bits.
    fn random(&self) -> u32;
    /// Adds one to a counter.
    fn count(&self, counter: Counter);
    /// Adds a flow to the totals of a service port, where anybody keeps them.
    #[inline(always)]
    fn count_flow(&self, service: u32) {
        let _ = service;
    }
    /// Whether somebody watches decisions. Nobody does where this is not said.
    #[inline(always)]
    fn watched(&self) -> bool {
        false
    }
    /// Shows a decision to who watches. It is built where it is read, and only if there is room.
    #[inline(always)]
    fn show(&self, build: impl FnOnce() -> TraceEvent) {
        let _ = build;
    }
}
