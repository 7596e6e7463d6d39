//! Capabilities of a process that is not root (capabilities(7)).
//!
//! The binary in the container image is permitted some, and none is in effect when it starts: a program whose file says
//! "effective" is refused by execve(2) wherever it cannot have them all, which `shunt --version` should not be.

use rustix::io;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Puts what the calling thread is permitted into effect, for it and for the threads that it starts from now on. Nothing
/// changes for root.
///
/// # Errors
/// Of capget(2) or capset(2).
pub fn raise() -> io::Result<()> {
    let sets = capabilities(None)?;
    if sets.effective.contains(sets.permitted) {
        return Ok(());
    }
    set_capabilities(None, CapabilitySets { effective: sets.permitted, ..sets })
}

/// Whether the verifier lets the calling thread's programs do what the packet programs do; so it is too if that cannot
/// be told.
pub fn has_perfmon() -> bool {
    // CAP_SYS_ADMIN has been enough since before there was the other one (perfmon_capable).
    capabilities(None)
        .map_or(true, |sets| sets.effective.intersects(CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN))
}
