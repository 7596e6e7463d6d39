//! Where a packet is worked on.

use super::headers::{Headers, Transport};
use crate::abi::{FlowEntry, Tuple};

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
}
