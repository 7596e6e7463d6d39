//! Numbers in memory. Copies go by 64-bit words, since LLVM turns a copy or a zeroing of more than a few words into a call of a loop over
//! bytes, which the verifier walks byte by byte; volatile words it leaves alone.

use core::mem::MaybeUninit;

/// Copies N words.
///
/// # Safety
/// Both pointers are aligned and good for N words.
#[inline(always)]
pub unsafe fn copy<const N: usize>(from: *const u64, to: *mut u64) {
    for index in 0..N {
        // SAFETY: the caller's.
        let from = unsafe { from.add(index) };
        // SAFETY: the caller's.
        let to = unsafe { to.add(index) };
        // SAFETY: the caller's.
        let word = unsafe { from.read_volatile() };
        // SAFETY: the caller's.
        unsafe { to.write_volatile(word) };
    }
}

/// Zeroes N words.
///
/// # Safety
/// The pointer is aligned and good for N words.
#[inline(always)]
pub unsafe fn zero<const N: usize>(to: *mut u64) {
    for index in 0..N {
        // SAFETY: the caller's.
        let to = unsafe { to.add(index) };
        // SAFETY: the caller's.
        unsafe { to.write_volatile(0) };
    }
}

/// The same number, of which a verifier knows nothing any more: it follows numbers into the stack only if they are
/// stored by one instruction.
#[inline(always)]
pub fn forget(value: u32) -> u32 {
    let mut place = MaybeUninit::<u32>::uninit();
    let half = place.as_mut_ptr().cast::<u16>();
    // SAFETY: `place` has room for two halves.
    unsafe { half.write_volatile(value as u16) };
    // SAFETY: as above.
    let other = unsafe { half.add(1) };
    // SAFETY: as above.
    unsafe { other.write_volatile((value >> 16) as u16) };
    // SAFETY: both halves are written, the low one first.
    unsafe { place.as_ptr().read_volatile() }
}
