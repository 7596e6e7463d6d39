//! The time in seconds, at the price of a load: reading the clock takes a tenth of what a packet of a known flow does.

use crate::{maps::CLOCK, tables::load};
use aya_ebpf::helpers::bpf_jiffies64;
use core::ptr;
use proxy_common::datapath::{SECOND, Tables};

/// The clock is read anew after this many ticks, as a power of two: 64 to 640 ms, by the kernel's CONFIG_HZ.
const TICKS: u32 = 6;

/// What one CPU knows of the time. Only its own programs use it, and one that interrupts another between two loads or
/// stores makes it wrong by what passes until the clock is read anew.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Clock {
    /// When the clock was read: jiffies, without the last bits.
    ticks: u64,
    /// What it said, seconds of CLOCK_MONOTONIC.
    seconds: u64,
}

/// Seconds of CLOCK_MONOTONIC, or one less.
#[inline(always)]
pub fn seconds<T: Tables>(tables: &T) -> u32 {
    let Some(clock) = CLOCK.get_ptr_mut(0) else { return (tables.now() / SECOND) as u32 };
    // SAFETY: `clock` points to this CPU's Clock of the map, and this only makes the address of a field.
    let at = unsafe { &raw mut (*clock).ticks };
    // SAFETY: as above.
    let said = unsafe { &raw mut (*clock).seconds };
    // SAFETY: the helper takes nothing and returns a number (Linux 5.6; the verifier puts a load in its place).
    let ticks = unsafe { bpf_jiffies64() } >> TICKS;
    if load(at.cast_const()) == ticks {
        return load(said.cast_const()) as u32;
    }
    let seconds = tables.now() / SECOND;
    // SAFETY: as above.
    unsafe { ptr::write_volatile(at, ticks) };
    // SAFETY: as above.
    unsafe { ptr::write_volatile(said, seconds) };
    seconds as u32
}
