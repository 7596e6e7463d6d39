//! The stages of a packet's way. In the programs each is a function that the verifier walks once, by itself, instead
//! of once for every path that leads to it; what one leaves for the next lies in [`Work`].

use super::headers::{self, Part};
use super::translate::Step;
use super::{Action, Packet, PacketTables, Work, answer, error, flow, new_flow, translate};
use crate::abi::Address;
use crate::datapath::is_cluster_ip;

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Next {
    /// [`Action::Pass`].
    Pass = 0,
    /// [`Action::Drop`].
    Drop = 1,
    /// [`Action::Forward`], to `Work`'s next hop.
    Forward = 2,
    /// [`Action::Return`].
    Return = 3,
    /// [`Action::Inject`], into `Work`'s device.
    Inject = 4,
    /// The packet begins a flow: [`Stages::begin`].
    Begin = 5,
    /// The packet is an ICMP error: [`Stages::error`].
    Error = 6,
    /// The packet is translated by `Work`'s entry: [`Stages::send`].
    Send = 7,
    /// The packet is refused: [`Stages::answer`].
    Refuse = 8,
    /// The packet is too big: [`Stages::answer`].
    TooBig = 9,
}

impl Next {
    /// The value of a stage that is a function of the programs.
    #[inline(always)]
    #[must_use]
    pub const fn from_value(value: u32) -> Self {
        match value {
            0 => Self::Pass,
            2 => Self::Forward,
            3 => Self::Return,
            4 => Self::Inject,
            5 => Self::Begin,
            6 => Self::Error,
            7 => Self::Send,
            8 => Self::Refuse,
            9 => Self::TooBig,
            _ => Self::Drop,
        }
    }

    #[inline(always)]
    const fn is(self, other: Self) -> bool {
        self as u32 == other as u32
    }
}

/// The stages, as somebody runs them.
pub trait Stages {
    /// Reads the packet and looks up its flow.
    fn arrive(&mut self) -> Next;
    /// Begins a flow, or refuses it.
    fn begin(&mut self) -> Next;
    /// Translates an ICMP error.
    fn error(&mut self) -> Next;
    /// Translates a packet by its flow's entry.
    fn send(&mut self) -> Next;
    /// Builds an answer in the packet's place: a refusal, or that it is too big.
    fn answer(&mut self, next: Next) -> Next;
}

/// Takes a packet through the stages. What is returned is none of them.
#[inline(always)]
pub fn run<S: Stages>(stages: &mut S) -> Next {
    let mut next = stages.arrive();
    if next.is(Next::Begin) {
        next = stages.begin();
    } else if next.is(Next::Error) {
        next = stages.error();
    }
    if next.is(Next::Send) {
        next = stages.send();
    }
    if next.is(Next::Refuse) || next.is(Next::TooBig) {
        next = stages.answer(next);
    }
    next
}

/// The stages as plain functions.
pub struct Plain<'a, P, T> {
    /// The packet.
    pub packet: &'a mut P,
    /// The maps.
    pub tables: &'a T,
    /// Where it is worked on.
    pub work: &'a mut Work,
}
