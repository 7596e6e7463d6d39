//! Listening sockets.

use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketFlags, SocketType, bind, listen as listen_on, socket_with,
        sockopt::{set_ipv6_v6only, set_socket_reuseaddr},
    },
};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Connections that may wait to be accepted; the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 1_024;

/// Listens for TCP. `[::]` is for IPv6 alone: IPv4 has a socket of its own, whose answers may differ.
///
/// # Errors
/// What the kernel said.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        set_ipv6_v6only(&socket, true)?;
    }
    // Connections of a former agent may still be in TIME_WAIT. On Linux this takes no port from a listener.
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen_on(&socket, BACKLOG)?;
    TcpListener::from_std(socket.into()).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
