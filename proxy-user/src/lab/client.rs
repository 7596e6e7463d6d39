//! TCP clients that say who answered.

use super::{
    reply::{self, LONGEST, Reply},
    tally::{self, Tally},
};
use std::{
    io::{self, Read},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// Connects, and reads the line that the server sends.
///
/// # Errors
/// What connect(2) or recv(2) said, `TimedOut` or `WouldBlock` when time was up, `InvalidData` if it was
/// no server of the lab.
pub fn tcp_ask(address: SocketAddr, timeout: Duration) -> io::Result<Reply> {
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
    Ok(Reply { name, seen_client, peer_name, local })
}

/// Asks `count` times, each time by a new connection: at most two seconds each, 30 together.
#[must_use]
pub fn tcp_ask_many(address: SocketAddr, count: usize) -> Tally {
    Tally::take(count, tally::ALL, || tcp_ask(address, tally::ONE).map(|reply| reply.name))
}
