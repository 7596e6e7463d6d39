//! Bridging programs (global BRIDGE) stand in for programs with other maps while the flows of those are carried over.
//! In all other programs the verifier drops what is here.

use crate::{globals, maps::TRANSITION, tables::load};
use aya_ebpf::{EbpfContext, btf_maps::ProgramArray};
use proxy_common::{
    abi::{Phase, TransitionEntry},
    packet::Unknown,
};

/// What is left to the programs before.
#[inline(always)]
pub fn unknown() -> Unknown {
    if !globals::is_bridge() {
        return Unknown::Nothing;
    }
    let entry = TRANSITION.get_ptr(0).map_or(TransitionEntry::default(), load);
    if entry.phase == Phase::Begin as u32 { Unknown::Flows } else { Unknown::All }
}

/// Whether every new decision is left to the programs before.
#[inline(always)]
pub fn defers() -> bool {
    unknown() as u8 == Unknown::All as u8
}

/// Runs the program before in place of this one; returns where there is none. What this one has changed stays so.
#[inline(always)]
pub fn hand_over<C: EbpfContext, const N: usize>(before: &ProgramArray<N>, context: &C, index: u32) {
    // SAFETY: no program here holds anything that must be given back.
    unsafe { before.tail_call(context, index) };
}
