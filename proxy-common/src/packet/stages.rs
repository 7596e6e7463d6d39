//! The stages of a packet's way. In the kernel each is a program that the verifier walks once, by itself, instead of
//! once for every path that leads to it; what one leaves for the next lies in [`Work`].

use super::{Action, Packet, PacketTables, Work, answer, arrive, error, flow, new_flow};

/// What comes next: an end, or another stage. The numbers belong to the map ABI.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Next {
    /// [`Action::Pass`].
    Pass = 0,
    /// [`Action::Drop`].
    Drop = 1,
    /// [`Action::Forward`].
    Forward = 2,
    /// [`Action::Return`].
    Return = 3,
    /// [`Action::Inject`].
    Inject = 4,
    /// The packet begins a flow: [`Stages::begin`].
    Begin = 5,
    /// The packet is an ICMP message: [`Stages::error`].
    Error = 6,
    /// The packet is translated by its flow's entry: [`Stages::send`].
    Send = 7,
    /// The packet is answered: [`Stages::answer`].
    Answer = 8,
    /// The packet is left to the program that was replaced ([`super::Unknown`]).
    Before = 9,
}

impl Next {
    /// Index in STAGES of the stage that it stands for, if it is no end.
    #[inline(always)]
    #[must_use]
    pub const fn stage(self) -> Option<u32> {
        (self as u32).checked_sub(Self::Begin as u32)
    }

    /// Whether it is `other`.
    #[inline(always)]
    #[must_use]
    pub const fn is(self, other: Self) -> bool {
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
    /// Makes the packet its answer.
    fn answer(&mut self) -> Next;
}

/// Takes a packet through the stages to its end.
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
    if next.is(Next::Answer) {
        next = stages.answer();
    }
    next
}

/// The stages as plain functions, one after the other.
pub struct Plain<'a, P, T> {
    /// The packet.
    pub packet: &'a mut P,
    /// The maps.
    pub tables: &'a T,
    /// Where it is worked on.
    pub work: &'a mut Work,
}

impl<P: Packet, T: PacketTables> Stages for Plain<'_, P, T> {
    #[inline(always)]
    fn arrive(&mut self) -> Next {
        arrive::arrive(self.packet, self.tables, self.work)
    }

    #[inline(always)]
    fn begin(&mut self) -> Next {
        new_flow::begin(self.packet, self.tables, self.work)
    }

    #[inline(always)]
    fn error(&mut self) -> Next {
        error::translate(self.packet, self.tables, self.work)
    }

    #[inline(always)]
    fn send(&mut self) -> Next {
        flow::send(self.packet, self.tables, self.work)
    }

    #[inline(always)]
    fn answer(&mut self) -> Next {
        answer::build(self.packet, self.work)
    }
}

/// What the program does with a packet whose way has ended.
#[inline(always)]
#[must_use]
pub fn action(end: Next, work: &Work) -> Action {
    match end {
        Next::Pass => Action::Pass,
        Next::Forward => Action::Forward { device: work.device, gateway: work.gateway },
        Next::Return => Action::Return,
        Next::Inject => Action::Inject { device: work.device },
        _ => Action::Drop,
    }
}

/// Translates a packet of a Service's flow, begins one, or refuses it; leaves everything else alone.
pub fn translate<P: Packet, T: PacketTables>(packet: &mut P, tables: &T, work: &mut Work) -> Action {
    let end = run(&mut Plain { packet, tables, work });
    action(end, work)
}
