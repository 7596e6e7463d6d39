//! The lab's only `unsafe`: leaving a network namespace, entering a place between fork and exec, and
//! ioctl(2) for tun and tap devices and for ethtool.

use super::Place;
use rustix::{
    ioctl::{Opcode, Updater, ioctl},
    thread::{UnshareFlags, unshare_unsafe},
};
use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::Command,
};

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

/// `struct ifreq` of <net/if.h>: a name, and 24 bytes (on 64-bit Linux) that depend on the request.
#[repr(C)]
struct Request<T> {
    name: [u8; libc::IFNAMSIZ],
    argument: T,
}

/// The argument of TUNSETIFF.
#[repr(C)]
struct TunFlags {
    flags: u16,
    unused: [u8; 22],
}

/// The argument of SIOCETHTOOL.
#[repr(C)]
struct EthtoolData {
    value: *mut EthtoolValue,
    unused: [u8; 16],
}

/// `struct ethtool_value` of <linux/ethtool.h>.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

impl<T> Request<T> {
    fn new(device: &str, argument: T) -> io::Result<Self> {
        let mut name = [0; libc::IFNAMSIZ];
        // One byte is left for the end of the string.
        let field = name[..libc::IFNAMSIZ - 1].get_mut(..device.len());
        field.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(device.as_bytes());
        Ok(Self { name, argument })
    }
}

/// Makes a tun (packets) or tap (Ethernet frames) device in the network namespace of the thread that opened
/// `/dev/net/tun`, as `kind` says: IFF_TUN or IFF_TAP. It is gone when the file is closed; the file carries
/// one packet or frame a read or write, without any header before it.
pub(super) fn attach_tun(file: &File, device: &str, kind: libc::c_int) -> io::Result<()> {
    const SET: Opcode = libc::TUNSETIFF as Opcode;
    let flags = (kind | libc::IFF_NO_PI) as u16;
    let mut request = Request::new(device, TunFlags { flags, unused: [0; 22] })?;
    // SAFETY: TUNSETIFF reads name and flags and writes them back; `request` has a `struct ifreq`'s 40 bytes.
    let update = unsafe { Updater::<SET, Request<TunFlags>>::new(&mut request) };
    // SAFETY: as above; a file that is not /dev/net/tun refuses the request.
    unsafe { ioctl(file, update) }.map_err(io::Error::from)
}

/// One of ethtool's requests that read or write a single number; returns that number. The device is one of the
/// namespace of the thread that made the socket.
pub(super) fn ethtool(socket: &OwnedFd, device: &str, command: u32, data: u32) -> io::Result<u32> {
    const ETHTOOL: Opcode = libc::SIOCETHTOOL as Opcode;
    let mut value = EthtoolValue { command, data };
    let mut request = Request::new(device, EthtoolData { value: &raw mut value, unused: [0; 16] })?;
    // SAFETY: SIOCETHTOOL reads a `struct ifreq` and follows its pointer; with a command that has a single
    // number, to a `struct ethtool_value`.
    let update = unsafe { Updater::<ETHTOOL, Request<EthtoolData>>::new(&mut request) };
    // SAFETY: as above; `value` outlives the call.
    unsafe { ioctl(socket, update) }?;
    Ok(value.data)
}
