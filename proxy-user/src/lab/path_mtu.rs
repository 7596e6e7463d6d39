//! A path MTU probe: does a packet that nobody may fragment arrive, and if not, what do ICMP errors say?

use super::reply::{self, LONGEST, Reply};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu, ipv6_mtu, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

/// IP and UDP header.
const HEADERS_V4: usize = 20 + 8;
const HEADERS_V6: usize = 40 + 8;

/// What became of a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MtuProbe {
    /// A server of the lab has answered it.
    Fits(Reply),
    /// A router, or the sender's own device, takes packets of so many bytes only. From now on the sender's
    /// namespace knows it.
    TooBig(u32),
}

/// Sends a UDP packet of `length` bytes, IP header included, which nobody may fragment, to a [`super::UdpServer`]
/// from the calling thread's namespace.
///
/// # Errors
/// What connect(2), send(2) or recv(2) said, `WouldBlock` when time was up and neither an answer nor an
/// ICMP error had come, `InvalidInput` if the headers alone are longer.
pub fn probe_path_mtu(address: SocketAddr, length: usize, timeout: Duration) -> io::Result<MtuProbe> {
    let socket = match address {
        SocketAddr::V4(_) => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO)?;
            socket
        }
        SocketAddr::V6(_) => {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
            set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::DO)?;
            socket
        }
    };
    socket.set_read_timeout(Some(timeout))?;
    socket.connect(address)?;
    let headers = if address.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
    let length = length.checked_sub(headers).ok_or(io::ErrorKind::InvalidInput)?;
    let mut answer = [0; LONGEST];
    // A packet that the sender's own device cannot take is refused by send(2), an ICMP error by recv(2).
    let result = socket.send(&vec![0x5a; length]).and_then(|_| socket.recv(&mut answer));
    match result {
        Ok(count) => {
            let (name, seen_client) = reply::parse(&answer[..count])?;
            let (peer_name, local) = (socket.peer_addr()?, socket.local_addr()?);
            Ok(MtuProbe::Fits(Reply { name, seen_client, peer_name, local }))
        }
        Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
            let mtu = if address.is_ipv4() { ip_mtu(&socket) } else { ipv6_mtu(&socket) };
            Ok(MtuProbe::TooBig(mtu?))
        }
        Err(error) => Err(error),
    }
}
