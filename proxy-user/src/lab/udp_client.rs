//! UDP clients that say who answered.

use super::{
    reply::{self, LONGEST, Reply},
    tally::{self, Tally},
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

const QUESTION: &[u8] = b"who are you?\n";

/// Asks by a new, connected socket.
///
/// # Errors
/// What connect(2), send(2) or recv(2) said (`ConnectionRefused` if nobody listens), `WouldBlock` when time
/// was up, `InvalidData` if it was no server of the lab.
pub fn udp_ask_connected(address: SocketAddr, timeout: Duration) -> io::Result<Reply> {
    let socket = unbound(address.is_ipv6())?;
    socket.set_read_timeout(Some(timeout))?;
    socket.connect(address)?;
    let peer_name = socket.peer_addr()?;
    let local = socket.local_addr()?;
    socket.send(QUESTION)?;
    let mut buffer = [0; LONGEST];
    let count = socket.recv(&mut buffer)?;
    let (name, seen_client) = reply::parse(&buffer[..count])?;
    Ok(Reply { name, seen_client, peer_name, local })
}

/// Asks `count` times, each time by a new connected socket: at most two seconds each, 30 together.
#[must_use]
pub fn udp_ask_many(address: SocketAddr, count: usize) -> Tally {
    Tally::take(count, tally::ALL, || udp_ask_connected(address, tally::ONE).map(|reply| reply.name))
}

/// An unconnected socket that asks several addresses, or the same one again.
#[derive(Debug)]
pub struct UdpAsker {
    socket: UdpSocket,
    timeout: Duration,
}

impl UdpAsker {
    /// An IPv4 socket on a free port. It belongs to the namespace and cgroup of the calling thread.
    ///
    /// # Errors
    /// What socket(2) or bind(2) said.
    pub fn ipv4(timeout: Duration) -> io::Result<Self> {
        Ok(Self { socket: unbound(false)?, timeout })
    }

    /// An IPv6 socket on a free port, which takes IPv4-mapped addresses too.
    ///
    /// # Errors
    /// What socket(2) or bind(2) said.
    pub fn ipv6(timeout: Duration) -> io::Result<Self> {
        Ok(Self { socket: unbound(true)?, timeout })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Sends a question and returns who answered, and from which address the answer came. Late answers
    /// to earlier questions are thrown away first.
    ///
    /// # Errors
    /// What sendmsg(2) or recvmsg(2) said, `WouldBlock` when time was up, `InvalidData` if it was no
    /// server of the lab.
    pub fn ask(&self, to: SocketAddr) -> io::Result<(String, SocketAddr)> {
        let mut buffer = [0; LONGEST];
        self.forget_late_answers(&mut buffer)?;
        self.socket.set_read_timeout(Some(self.timeout))?;
        self.socket.send_to(QUESTION, to)?;
        let (count, from) = self.socket.recv_from(&mut buffer)?;
        let (name, _) = reply::parse(&buffer[..count])?;
        Ok((name, from))
    }

    fn forget_late_answers(&self, buffer: &mut [u8]) -> io::Result<()> {
        let end = Instant::now() + self.timeout;
        self.socket.set_nonblocking(true)?;
        while self.socket.recv_from(buffer).is_ok() && Instant::now() < end {}
        self.socket.set_nonblocking(false)
    }
}

fn unbound(ipv6: bool) -> io::Result<UdpSocket> {
    if ipv6 {
        UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
    } else {
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
    }
}
