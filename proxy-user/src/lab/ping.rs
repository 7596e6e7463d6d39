//! ICMP echo, the way ping(8) does it without privileges.

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, connect, ipproto, recv, send, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// Types of echo request and echo reply: RFC 792, and RFC 4443, section 4.
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);

/// Type, code, checksum, identifier and sequence number, then what is to come back.
const REQUEST_LENGTH: usize = 56;
const HEADER_LENGTH: usize = 8;

/// Sends an echo request from the calling thread's namespace, one that the lab made, and returns how long
/// the reply took.
///
/// # Errors
/// `WouldBlock` when time was up, what an ICMP error said (`HostUnreachable`), `InvalidData` if the reply
/// is not what was sent.
pub fn ping(address: IpAddr, timeout: Duration) -> io::Result<Duration> {
    let (family, protocol, (request, reply)) = match address {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP, ECHO_V4),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6, ECHO_V6),
    };
    // The kernel fills in identifier and checksum, and delivers what has this identifier only.
    let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(protocol))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(timeout))?;
    connect(&socket, &SocketAddr::new(address, 0))?;
    let mut message = [0x5a; REQUEST_LENGTH];
    message[..HEADER_LENGTH].copy_from_slice(&[request, 0, 0, 0, 0, 0, 0, 1]);
    let began = Instant::now();
    send(&socket, &message, rustix::net::SendFlags::empty())?;
    let mut answer = [0; REQUEST_LENGTH];
    let (_, count) = recv(&socket, &mut answer, rustix::net::RecvFlags::empty())?;
    let taken = began.elapsed();
    if answer[0] == reply && answer[HEADER_LENGTH..count] == message[HEADER_LENGTH..] {
        Ok(taken)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("not an echo reply: {answer:?}")))
    }
}
