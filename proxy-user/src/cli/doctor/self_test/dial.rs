//! Dialling a Service, and answering in its endpoints' place, all on one thread.

use super::target::Target;
use crate::model::Protocol;
use std::{
    collections::BTreeSet,
    fmt, io,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// The longest that each step may take: over loopback it takes microseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks whether something has come.
const PAUSE: Duration = Duration::from_micros(50);

/// The longest that a datagram takes that is not lost.
const SOON: Duration = Duration::from_millis(20);
/// So many in a row are no chance.
const ANSWERS: u32 = 3;

const WORD: &[u8] = b"shunt";

/// A connection that came out at an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Dialled {
    pub endpoint: SocketAddr,
    /// From connect() until the answer.
    pub took: Duration,
}

/// What went wrong.
#[derive(Debug)]
pub enum Failure {
    /// A call failed: its name, and what the kernel said.
    Call(&'static str, io::Error),
    /// Nothing came to any endpoint.
    Nowhere,
    /// The client sees somebody else than it has dialled.
    Stranger(SocketAddr),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Only endpoints have a route there, so it was the Service's own address that was dialled.
            Self::Call(call, error) if error.kind() == io::ErrorKind::NetworkUnreachable => {
                write!(f, "{call}: {error}: no program pointed it at an endpoint")
            }
            Self::Call(call, error) => write!(f, "{call}: {error}"),
            Self::Nowhere => f.write_str("it came to none of the Service's endpoints"),
            Self::Stranger(who) => write!(f, "the client sees {who} in place of the Service"),
        }
    }
}

/// Dials a Service once.
///
/// # Errors
/// [`Failure`].
pub fn dial(target: &Target) -> Result<Dialled, Failure> {
    let dial = match target.protocol {
        Protocol::Tcp => dial_tcp,
        _ => dial_udp,
    };
    // What is broken stays so, and what the fresh namespace has lost is not lost again.
    dial(target).or_else(|_| dial(target))
}

/// Talks to every endpoint's address directly until it answers several times in a row. The first sockets that use an
/// IPv6 address of `lo` may keep a route that was not there yet, for as long as they live (seen on Linux 6.18).
///
/// # Errors
/// [`Failure::Nowhere`] after [`PATIENCE`], or of the call that failed.
pub fn warm_up(targets: &[Target]) -> Result<(), Failure> {
    let endpoints: BTreeSet<IpAddr> =
        targets.iter().flat_map(|target| &target.endpoints).map(SocketAddr::ip).collect();
    for address in endpoints {
        let (end, mut answers) = (Instant::now() + PATIENCE, 0);
        while answers < ANSWERS {
            answers = if is_heard(address).map_err(|error| Failure::Call("listening", error))? {
                answers + 1
            } else {
                0
            };
            if Instant::now() > end {
                return Err(Failure::Nowhere);
            }
        }
    }
    Ok(())
}

/// Whether a datagram to this address arrives, from sockets that nobody has used before.
fn is_heard(address: IpAddr) -> io::Result<bool> {
    let server = UdpSocket::bind(SocketAddr::new(address, 0))?;
    server.set_read_timeout(Some(SOON))?;
    let at = server.local_addr()?;
    let client = UdpSocket::bind(SocketAddr::new(any(&at), 0))?;
    let sent = client.connect(at).and_then(|()| client.send(WORD));
    Ok(sent.is_ok() && server.recv(&mut [0; WORD.len()]).is_ok())
}

/// The unspecified address of the same family.
const fn any(address: &SocketAddr) -> IpAddr {
    if address.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) }
}

fn dial_tcp(target: &Target) -> Result<Dialled, Failure> {
    let call = |name| move |error| Failure::Call(name, error);
    let listeners = all(&target.endpoints, |at| {
        let listener = TcpListener::bind(at)?;
        listener.set_nonblocking(true).map(|()| listener)
    })?;
    let start = Instant::now();
    let mut client = TcpStream::connect_timeout(&target.frontend, PATIENCE).map_err(call("connect"))?;
    client.set_read_timeout(Some(PATIENCE)).map_err(call("setsockopt"))?;
    let (endpoint, mut server) = first(&listeners, |listener| listener.accept().map(|(stream, _)| stream))?;
    server.write_all(WORD).map_err(call("write"))?;
    client.read_exact(&mut [0; WORD.len()]).map_err(call("read"))?;
    is_dialled(target, client.peer_addr().map_err(call("getpeername"))?)?;
    Ok(Dialled { endpoint, took: start.elapsed() })
}

/// By sendto(2), as resolvers ask, and by connect(2).
fn dial_udp(target: &Target) -> Result<Dialled, Failure> {
    let call = |name| move |error| Failure::Call(name, error);
    let servers = all(&target.endpoints, |at| {
        let server = UdpSocket::bind(at)?;
        server.set_nonblocking(true).map(|()| server)
    })?;
    let answer = |server: &UdpSocket| {
        let (_, from) = server.recv_from(&mut [0; WORD.len()])?;
        server.send_to(WORD, from).map(drop)
    };
    let start = Instant::now();
    let client = UdpSocket::bind(SocketAddr::new(any(&target.frontend), 0)).map_err(call("bind"))?;
    client.set_read_timeout(Some(PATIENCE)).map_err(call("setsockopt"))?;
    client.send_to(WORD, target.frontend).map_err(call("sendto"))?;
    let (endpoint, ()) = first(&servers, answer)?;
    let (_, from) = client.recv_from(&mut [0; WORD.len()]).map_err(call("recvfrom"))?;
    is_dialled(target, from)?;
    let took = start.elapsed();
    client.connect(target.frontend).map_err(call("connect"))?;
    client.send(WORD).map_err(call("send"))?;
    first(&servers, answer)?;
    client.recv(&mut [0; WORD.len()]).map_err(call("recv"))?;
    is_dialled(target, client.peer_addr().map_err(call("getpeername"))?)?;
    Ok(Dialled { endpoint, took })
}

fn all<T>(
    endpoints: &[SocketAddr],
    bind: impl Fn(SocketAddr) -> io::Result<T>,
) -> Result<Vec<(SocketAddr, T)>, Failure> {
    let bound = endpoints.iter().map(|at| Ok((*at, bind(*at)?))).collect::<io::Result<Vec<_>>>();
    bound.map_err(|error| Failure::Call("listening in the endpoints' place", error))
}

/// Whatever comes first, and to whom.
fn first<T, R>(
    all: &[(SocketAddr, T)],
    take: impl Fn(&T) -> io::Result<R>,
) -> Result<(SocketAddr, R), Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        for (at, one) in all {
            match take(one) {
                Ok(taken) => return Ok((*at, taken)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Failure::Call("answering in an endpoint's place", error)),
            }
        }
        if Instant::now() > end {
            return Err(Failure::Nowhere);
        }
        thread::sleep(PAUSE);
    }
}

fn is_dialled(target: &Target, seen: SocketAddr) -> Result<(), Failure> {
    if seen == target.frontend { Ok(()) } else { Err(Failure::Stranger(seen)) }
}
