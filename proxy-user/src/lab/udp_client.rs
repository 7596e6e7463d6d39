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

/// No datagram is larger: 16 bits tell its length.
const LARGEST: usize = 65_535;

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
        let (reply, _) = self.exchange(to, QUESTION)?;
        Ok((reply.name, reply.peer_name))
    }

    /// The same with a question of `length` bytes, which goes in fragments if it must, to a server whose
    /// answer is as long ([`super::UdpServer::start_echo`]). The reply's `peer_name` is where the answer
    /// came from; its `local` address has no IP address, the socket being bound to none.
    ///
    /// # Errors
    /// See [`UdpAsker::ask`]; `InvalidData` also if something else came back than was sent.
    pub fn ask_big(&self, to: SocketAddr, length: usize) -> io::Result<Reply> {
        let question: Vec<u8> = (0..length).map(|at| (at / 8) as u8).collect();
        let (reply, rest) = self.exchange(to, &question)?;
        if question.ends_with(&rest) && reply.line().len() + rest.len() == length {
            return Ok(reply);
        }
        let text = format!("{} bytes behind the line came back of {length} sent", rest.len());
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// Returns what the line of the answer says, and what comes behind it.
    fn exchange(&self, to: SocketAddr, question: &[u8]) -> io::Result<(Reply, Vec<u8>)> {
        let mut answer = vec![0; LARGEST];
        self.forget_late_answers(&mut answer)?;
        self.socket.set_read_timeout(Some(self.timeout))?;
        self.socket.send_to(question, to)?;
        let (count, peer_name) = self.socket.recv_from(&mut answer)?;
        answer.truncate(count);
        let end = answer.iter().position(|byte| *byte == b'\n').map_or(count, |end| end + 1);
        let rest = answer.split_off(end);
        let (name, seen_client) = reply::parse(&answer)?;
        Ok((Reply { name, seen_client, peer_name, local: self.socket.local_addr()? }, rest))
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
