//! AGENT and TRANSITION: what the agent says of itself, and how far it has come from one set of maps to the next.

use super::flags::flags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The only entry of AGENT. Times are nanoseconds of CLOCK_BOOTTIME, zero for never. No program reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AgentEntry {
    /// The agent's process, as it sees its own id.
    pub pid: u64,
    /// When it started.
    pub started: u64,
    /// When it had programmed the last complete list of what is in the cluster.
    pub listed: u64,
    /// When it compared the maps with what it knows last, whether anything was to be changed or not.
    pub synced: u64,
    /// When it changed the maps last.
    pub changed: u64,
    /// Bytes of kernel memory that all maps together may grow to.
    pub map_memory: u64,
    /// More about it.
    pub flags: AgentFlags,
}

flags! {
    /// Facts about the agent, as bits.
    pub struct AgentFlags(u64);
    /// It knows all that is in the cluster: a complete list was programmed since it started.
    COMPLETE = 1;
}

/// The only entry of TRANSITION: who serves while programs stand in for others ([`Phase`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TransitionEntry {
    /// A [`Phase`].
    pub phase: u32,
    /// Zero.
    pub reserved: u32,
}

impl TransitionEntry {
    /// The entry that says so.
    #[must_use]
    pub const fn new(phase: Phase) -> Self {
        Self { phase: phase as u32, reserved: 0 }
    }
}

/// What bridging programs leave to those that they have replaced, which have other maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Phase {
    /// All but the packets of flows that their own maps know already.
    Defer = 0,
    /// What is under way and not known to their own maps; what begins, begins in those.
    Begin = 1,
}

const _: () = assert!(size_of::<AgentEntry>() == 56);
const _: () = assert!(size_of::<TransitionEntry>() == 8);
