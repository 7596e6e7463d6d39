//! The lab's only `unsafe`: leaving a network namespace, and entering a place between fork and exec.

use super::Place;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::{io, os::unix::process::CommandExt, process::Command};

/// Moves the calling thread into a network namespace made for it: no device but `lo`, no route.
pub(super) fn unshare_network() -> io::Result<()> {
    // SAFETY: unshare(2) is unsafe for CLONE_FILES only, where threads would stop sharing file
    // descriptors; CLONE_NEWNET leaves the descriptor table alone.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.map_err(io::Error::from)
}

/// Lets the command's process enter `place` just before it executes.
pub(super) fn enter_before_exec(command: &mut Command, place: Place) {
    // SAFETY: the hook runs in the forked child of a process that may have many threads, so it may
    // only call what is async-signal-safe: `enter_process` is pwrite(2) and setns(2) on descriptors
    // opened before, and it neither allocates nor locks, in the error case either.
    unsafe { command.pre_exec(move || place.enter_process()) };
}
