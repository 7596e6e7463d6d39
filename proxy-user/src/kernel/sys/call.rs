//! bpf(2) itself, and what every call of it needs.

use aya_obj::generated::{bpf_attr, bpf_cmd};
use std::ffi::CString;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Number of bpf(2) calls that this process has made through this module.
#[must_use]
pub fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

pub(super) fn object_get(path: &Path, flags: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = empty();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.file_flags = flags;
    // SAFETY: `path` ends with a zero and lives until the call returns.
    unsafe { bpf_open(bpf_cmd::BPF_OBJ_GET, &mut attr) }
}

pub(super) fn object_pin(path: &Path, fd: BorrowedFd<'_>) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = empty();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.bpf_fd = number(fd);
    // SAFETY: `path` ends with a zero and lives until the call returns.
    unsafe { bpf(bpf_cmd::BPF_OBJ_PIN, &mut attr) }.map(drop)
}

/// # Safety
/// Every bit pattern must be a valid `T`.
pub(super) unsafe fn object_info<T>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attr = empty();
    attr.info.bpf_fd = number(fd);
    attr.info.info_len = size_of::<T>() as u32;
    attr.info.info = &raw mut *info as u64;
    // SAFETY: the kernel writes at most `info_len` bytes to `info`.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }.map(drop)
}

/// What a descriptor of bpf(2) is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ObjectKind {
    /// A map.
    Map,
    /// A program.
    Program,
    /// A link.
    Link,
}

/// What lies pinned at a path, and a descriptor of it. Structures that the kernel fills for one kind of object read as
/// nonsense for another, so who cannot trust a pin asks for its kind first.
///
/// # Errors
/// Of BPF_OBJ_GET; `InvalidData`: of a kind that Shunt does not know.
pub fn open_any(path: &Path) -> io::Result<(ObjectKind, OwnedFd)> {
    let fd = object_get(path, 0)?;
    let name = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    // Linux names these inodes so (bpf_map_new_fd, bpf_prog_new_fd, bpf_link_settle of kernel/bpf/syscall.c).
    let kind = match name.to_str() {
        Some("anon_inode:bpf-map") => ObjectKind::Map,
        Some("anon_inode:bpf-prog") => ObjectKind::Program,
        Some("anon_inode:bpf_link" | "anon_inode:bpf-link") => ObjectKind::Link,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    Ok((kind, fd))
}

pub(super) fn empty() -> bpf_attr {
    // SAFETY: plain data, for which zeros are valid; the kernel wants unused members to be zero.
    unsafe { zeroed() }
}

pub(super) fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd() as u32
}

/// # Safety
/// As for [`bpf`], and `command` must be one that returns a new file descriptor.
pub(super) unsafe fn bpf_open(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: promised by the caller.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// Every address in `attr` must be valid for what `command` reads or writes there.
pub(super) unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<RawFd> {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: promised by the caller; the kernel takes a shorter or longer `bpf_attr` than its own
    // as long as what it does not know is zero.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw mut *attr, size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}
