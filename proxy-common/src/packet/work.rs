//! Where a packet is worked on.

use super::answer::Answer;
use super::headers::{self, Headers, Transport};
use crate::abi::{Address, FlowEntry, Tuple};

/// What is known of a packet so far, and room for what is made of it. A program's stack has 512 bytes: this lies
/// in a per-CPU map instead. Zeros are a valid value.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Work {
    /// Its IP header.
    pub(super) headers: Headers,
    /// The IP header of the packet that an ICMP error carries.
    pub(super) inner: Headers,
    /// Its transport header.
    pub(super) transport: Transport,
    /// Its tuple as it came.
    pub(super) tuple: Tuple,
    /// Its tuple as it goes on.
    pub(super) to: Tuple,
    /// Key of another entry of its flow.
    pub(super) key: Tuple,
    /// Its flow's entry.
    pub(super) entry: FlowEntry,
    /// The entry of the answers to its flow.
    pub(super) reply: FlowEntry,
    /// An entry that is in the way.
    pub(super) there: FlowEntry,
    /// Key of the other entry of that flow.
    pub(super) other: Tuple,
    /// The device that it goes to, and the neighbour there.
    pub(super) device: u32,
    pub(super) gateway: Address,
    /// What it is answered with, if that becomes of it.
    pub(super) answer: Answer,
    /// It has a transport header; a later fragment has none.
    pub(super) has_transport: bool,
    /// It had a flow, which has ended.
    pub(super) again: bool,
    /// It begins with its IP header, and so does all that its device carries.
    pub(super) headerless: bool,
}

impl Work {
    /// Whether the packet begins with its IP header.
    #[inline(always)]
    #[must_use]
    pub const fn is_headerless(&self) -> bool {
        self.headerless
    }

    /// Whether the packet has a transport header of its own: it may begin a flow.
    #[inline(always)]
    #[must_use]
    pub fn has_ports(&self) -> bool {
        self.has_transport && headers::has_ports(self.headers.protocol)
    }
}
