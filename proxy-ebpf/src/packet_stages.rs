//! The stages of the packet path as programs that call on each other by tail calls: the verifier walks each once, by
//! itself. Functions would not do: up to Linux 6.1 it tells apart all states in which any number differs, in programs
//! that have any (commit be2ef8161572 ended that), and gives up after a million instructions.
//!
//! What one stage leaves for the next lies in SCRATCH. It is pinned, and STAGES too, whose programs a starting agent
//! replaces one by one: so the layout of `Work` and the numbers of `Next` belong to the map ABI.

use crate::{
    bridge, globals,
    maps::{BEFORE_PACKETS, SCRATCH, STAGES},
    send::PASS,
    skb::Skb,
    tables::KernelTables,
};
use aya_ebpf::{bindings::TC_ACT_SHOT, programs::TcContext};
use proxy_common::{
    abi::Counter,
    datapath::Tables,
    packet::{self, Hook, Next, Plain, Stages},
};

/// A packet that was met at `hook`: runs its first stage, and what follows.
#[inline(always)]
pub fn first(context: &TcContext, hook: Hook) -> i32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return PASS };
    // SAFETY: `scratch` points to this CPU's value, and no other program runs on this CPU meanwhile.
    unsafe { (*scratch).hook = hook };
    run::<ELSE_BEGIN>(
        context,
        #[inline(always)]
        |plain| plain.arrive(),
    )
}

/// Runs the stage of ICMP messages, and what follows.
#[inline(always)]
pub fn error(context: &TcContext) -> i32 {
    run::<ELSE_PASS>(
        context,
        #[inline(always)]
        |plain| plain.error(),
    )
}

/// Runs the stage of packets of no known flow, and what follows.
#[inline(always)]
pub fn begin(context: &TcContext) -> i32 {
    run::<ELSE_PASS>(
        context,
        #[inline(always)]
        |plain| plain.begin(),
    )
}

/// Runs a later stage, and what follows.
#[inline(always)]
pub fn later(context: &TcContext, stage: impl FnOnce(&mut Plain<'_, Skb, KernelTables>) -> Next) -> i32 {
    run::<NEVER>(context, stage)
}

/// A stage never leaves a packet to the program before.
const NEVER: u8 = 0;
/// It may; where there is none, the packet is let pass.
const ELSE_PASS: u8 = 1;
/// It may; where there is none, the packet begins a flow if it can.
const ELSE_BEGIN: u8 = 2;

/// Runs a stage, and what follows; the value is the program's.
#[inline(always)]
fn run<const LEAVES: u8>(
    context: &TcContext,
    stage: impl FnOnce(&mut Plain<'_, Skb, KernelTables>) -> Next,
) -> i32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return PASS };
    // SAFETY: as in [`first`]. Zeros and whatever a former stage left are a valid Work.
    let work = unsafe { &mut (*scratch).work };
    // SAFETY: as in [`first`]; this only makes the address of a field.
    let questions = unsafe { &raw mut (*scratch).questions };
    // SAFETY: as in [`first`].
    let hook = unsafe { (*scratch).hook };
    let mut packet = Skb::new(context.skb.skb, hook, work.is_headerless(), questions);
    let mut next = stage(&mut Plain { packet: &mut packet, tables: &KernelTables, work });
    if LEAVES != NEVER && globals::is_bridge() && next.is(Next::Before) {
        bridge::hand_over(&BEFORE_PACKETS, context, hook as u32);
        // There is none: then nobody knows of it, unless it begins a flow.
        next = if LEAVES == ELSE_BEGIN && work.has_ports() { Next::Begin } else { Next::Pass };
    }
    if let Some(stage) = next.stage() {
        // SAFETY: nothing that is borrowed here is used after the call, which does not return.
        unsafe { STAGES.tail_call(context, stage) };
        // The agent has not put it there.
        KernelTables.count(Counter::Inconsistent);
        return TC_ACT_SHOT;
    }
    packet.finish(&KernelTables, packet::action(next, work))
}
