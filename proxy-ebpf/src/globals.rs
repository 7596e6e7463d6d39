//! Read-only globals, set by the loader before the kernel verifies the programs: `.rodata` is
//! frozen by then, so the verifier knows their values and drops the branches that they turn off.

use aya_ebpf::{
    Global,
    helpers::{bpf_get_netns_cookie, bpf_set_retval},
};
use core::ptr;

/// ECONNREFUSED of asm-generic/errno.h, the same number on every architecture Linux still has but
/// MIPS, PA-RISC, SPARC and Alpha, none of which aya loads programs on.
const ECONNREFUSED: i32 = 111;
/// EADDRINUSE, likewise.
const EADDRINUSE: i32 = 98;
/// ETIMEDOUT, likewise.
const ETIMEDOUT: i32 = 110;

/// 1 where socket programs may call bpf_set_retval: Linux 6.1, commit dea6a4e17013 (5.18 has
/// the helper for other program types only). 0 leaves the call out, and what is refused fails with
/// EPERM.
#[unsafe(no_mangle)]
static HAS_SET_RETVAL: Global<u8> = Global::new(0);

/// Cookie of the network namespace that the node's own processes are in: the agent's, since in a container
/// that plays a node it is not the initial one. 0 where the kernel does not tell it (SO_NETNS_COOKIE: Linux
/// 5.14, commit e8b9eab99232): then it is the initial one.
#[unsafe(no_mangle)]
static NODE_NETNS: Global<u64> = Global::new(0);

/// 1 in bridging programs: what their maps do not know they hand over to the programs that they have replaced.
#[unsafe(no_mangle)]
static BRIDGE: Global<u8> = Global::new(0);

/// Layout of the maps that this object was built for. No program reads it: the loader does, out of
/// the object's `.rodata`.
#[unsafe(no_mangle)]
static ABI_VERSION: Global<u32> = Global::new(proxy_common::abi::ABI_VERSION);

/// Zero. Only the compiler does not know it.
#[unsafe(no_mangle)]
static ZERO: Global<u32> = Global::new(0);

/// See `Tables::zero`.
#[inline(always)]
pub fn zero() -> u32 {
    ZERO.load()
}

/// Whether this is a bridging program.
#[inline(always)]
pub fn is_bridge() -> bool {
    BRIDGE.load() == 1
}

/// Lets a call that is about to be refused fail with ECONNREFUSED, where the kernel can do that.
#[inline(always)]
pub fn set_connection_refused() {
    set_error(-ECONNREFUSED);
}

/// Lets a call that is about to be refused fail with ETIMEDOUT, where the kernel can do that.
#[inline(always)]
pub fn set_timed_out() {
    set_error(-ETIMEDOUT);
}

/// Lets a call that is about to be refused fail with EADDRINUSE, where the kernel can do that.
#[inline(always)]
pub fn set_address_in_use() {
    set_error(-EADDRINUSE);
}

#[inline(always)]
fn set_error(negative: i32) {
    if HAS_SET_RETVAL.load() == 1 {
        // SAFETY: the helper takes a plain number. It cannot fail for an errno in range, and if it
        // did, the call would fail with EPERM, as without it.
        unsafe { bpf_set_retval(negative) };
    }
}

/// Cookie of the node's network namespace.
#[inline(always)]
pub fn node_netns() -> u64 {
    match NODE_NETNS.load() {
        // SAFETY: without a context the helper gives the cookie of the initial namespace (Linux 5.7,
        // commit f318903c0bf4).
        0 => unsafe { bpf_get_netns_cookie(ptr::null_mut()) },
        cookie => cookie,
    }
}
