//! Copies by 64-bit words. LLVM turns a copy or a zeroing of more than a few words into a call of a loop over
//! bytes, which the verifier walks byte by byte; volatile words it leaves alone.

/// Copies N words.
///
/// # Safety
/// Both pointers are aligned and good for N words.
#[inline(always)]
pub unsafe fn copy<const N: usize>(from: *const u64, to: *mut u64) {
    for index in 0..N {
        // SAFETY: the caller's.
        let (from, to) = unsafe { (from.add(index), to.add(index)) };
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
