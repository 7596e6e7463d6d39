//! Read-only globals, set by the loader before the kernel verifies the programs: `.rodata` is
//! frozen by then, so the verifier knows their values and drops the branches that they turn off.

use aya_ebpf::{Global, helpers::bpf_set_retval};

/// ECONNREFUSED of asm-generic/errno.h, the same number on every architecture Linux still has but
/// MIPS, PA-RISC, SPARC and Alpha, none of which aya loads programs on.
const ECONNREFUSED: i32 = 111;

/// 1 where socket address programs may call bpf_set_retval: Linux 6.1, commit dea6a4e17013 (5.18 has
/// the helper for other program types only). 0 leaves the call out, and what is refused fails with
/// EPERM.
#[unsafe(no_mangle)]
static HAS_SET_RETVAL: Global<u8> = Global::new(0);

/// Layout of the maps that this object was built for. No program reads it: the loader does, out of
/// the object's `.rodata`.
#[unsafe(no_mangle)]
static ABI_VERSION: Global<u32> = Global::new(proxy_common::abi::ABI_VERSION);

/// Lets a call that is about to be refused fail with ECONNREFUSED, where the kernel can do that.
#[inline(always)]
pub fn set_connection_refused() {
    if HAS_SET_RETVAL.load() == 1 {
        // SAFETY: the helper takes a plain number. It cannot fail for an errno in range, and if it
        // did, the call would fail with EPERM, as without it.
        unsafe { bpf_set_retval(-ECONNREFUSED) };
    }
}
