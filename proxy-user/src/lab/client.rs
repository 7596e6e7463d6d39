//! TCP clients that say who answered.

use super::{
    reply::{self, LONGEST, Reply},
    tally::{self, Tally},
};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// What surely fits the socket buffers of both sides, in bytes.
const PIECE: usize = 16 * 1024;

/// Connects, and reads the line that the server sends.
///
/// # Errors
/// What connect(2) or recv(2) said, `TimedOut` or `WouldBlock` when time was up, `InvalidData` if it was
/// no server of the lab.
pub fn tcp_ask(address: SocketAddr, timeout: Duration) -> io::Result<Reply> {
    TcpSession::open(address, timeout).map(|session| session.reply)
}

/// Asks `count` times, each time by a new connection: at most two seconds each, 30 together.
#[must_use]
pub fn tcp_ask_many(address: SocketAddr, count: usize) -> Tally {
    Tally::take(count, tally::ALL, || tcp_ask(address, tally::ONE).map(|reply| reply.name))
}

/// A connection that stays open, to a server that sends back what it is sent
/// ([`super::TcpServer::start_echo`]).
#[derive(Debug)]
pub struct TcpSession {
    stream: TcpStream,
    reply: Reply,
}

impl TcpSession {
    /// Connects, and reads the line that the server sends. Each later call may take as long.
    ///
    /// # Errors
    /// See [`tcp_ask`].
    pub fn open(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let end = Instant::now() + timeout;
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        let peer_name = stream.peer_addr()?;
        let local = stream.local_addr()?;
        let mut line = Vec::new();
        let mut buffer = [0; LONGEST];
        while line.last() != Some(&b'\n') && line.len() < LONGEST {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer)? {
                0 => break,
                count => line.extend_from_slice(&buffer[..count]),
            }
        }
        let (name, seen_client) = reply::parse(&line)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream, reply: Reply { name, seen_client, peer_name, local } })
    }

    /// Who answered, and what each side saw of the other.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        &self.reply
    }

    /// The connection.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends something and reads it back.
    ///
    /// # Errors
    /// What send(2) or recv(2) said (`ConnectionReset` if the connection was ended), `WouldBlock` when time was
    /// up, `UnexpectedEof` if the server closed, `InvalidData` if something else came back.
    pub fn exchange(&mut self, data: &[u8]) -> io::Result<()> {
        // Piece by piece, because the server reads no more while it has something to send.
        for sent in data.chunks(PIECE) {
            let mut back = vec![0; sent.len()];
            self.stream.write_all(sent)?;
            self.stream.read_exact(&mut back)?;
            if back != sent {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "something else came back"));
            }
        }
        Ok(())
    }
}
