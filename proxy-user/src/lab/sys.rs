//! The lab's only `unsafe`: leaving a network namespace, entering a place between fork and exec, and
//! the ioctl(2) that makes a tun or tap device.

use super::Place;
use rustix::{
    ioctl::{Opcode, Updater, ioctl},
    thread::{UnshareFlags, unshare_unsafe},
};
use std::{fs::File, io, os::unix::process::CommandExt, process::Command};

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

/// Makes a tun (packets) or tap (Ethernet frames) device in the calling thread's network namespace, as
/// `kind` says: IFF_TUN or IFF_TAP. It is gone when the file is closed; the file carries one packet or
/// frame a read or write, without any header before it.
pub(super) fn attach_tun(file: &File, device: &str, kind: libc::c_int) -> io::Result<()> {
    /// `struct ifreq` as TUNSETIFF reads it: name, flags, and the rest of its 40 bytes.
    #[repr(C)]
    struct Request {
        name: [u8; libc::IFNAMSIZ],
        flags: libc::c_short,
        rest: [u8; 22],
    }
    let mut request = Request {
        name: [0; libc::IFNAMSIZ],
        flags: (kind | libc::IFF_NO_PI) as libc::c_short,
        rest: [0; 22],
    };
    // One byte is left for the end of the string.
    let name = request.name[..libc::IFNAMSIZ - 1].get_mut(..device.len());
    name.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(device.as_bytes());
    const SET: Opcode = libc::TUNSETIFF as Opcode;
    // SAFETY: TUNSETIFF reads and writes back a `struct ifreq`, 40 bytes on 64-bit Linux, which `Request` is.
    let update = unsafe { Updater::<SET, Request>::new(&mut request) };
    // SAFETY: as above; the file need not be /dev/net/tun for that: another one refuses the request.
    unsafe { ioctl(file, update) }.map_err(io::Error::from)
}
