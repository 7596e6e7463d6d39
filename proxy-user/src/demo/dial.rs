//! Bare sockets, whose connect() alone is timed.

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect, socket_with},
};
use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// A socket to connect to `address` with. It belongs to the namespace and cgroup of the calling thread.
pub fn socket(address: SocketAddr, kind: SocketType, flags: SocketFlags) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(socket_with(family, kind, flags | SocketFlags::CLOEXEC, None)?)
}

/// Connects, and says how long the call took.
pub fn dial(socket: &OwnedFd, address: SocketAddr) -> (Duration, Result<(), Errno>) {
    let start = Instant::now();
    let result = connect(socket, &address);
    (start.elapsed(), result)
}

/// The middle of some times; zero of none.
pub fn median(times: &mut [Duration]) -> Duration {
    let middle = times.len() / 2;
    if times.is_empty() { Duration::ZERO } else { *times.select_nth_unstable(middle).1 }
}
