//! Which network namespace a thread is in.

use rustix::net::{AddressFamily, SocketType, socket};
use std::{io, os::fd::AsRawFd};

/// Socket option of asm-generic/socket.h; libc does not have it yet.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// Cookie of the calling thread's network namespace (Linux 5.14, commit e8b9eab99232).
///
/// # Errors
/// Of socket() or getsockopt() (ENOPROTOOPT: an older kernel).
pub fn netns_cookie() -> io::Result<u64> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let mut cookie = 0_u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    let (to, len) = ((&raw mut cookie).cast(), &raw mut len);
    // SAFETY: both addresses are those of live variables, and `len` is the size of the first.
    let result = unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_NETNS_COOKIE, to, len) };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}
