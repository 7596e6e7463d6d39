//! Dialling a Service, and answering in its endpoints' place, all on one thread.

use super::target::Target;
use crate::model::Protocol;
use std::{
    fmt, io,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// The longest that each step may take: over loopback it takes microseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks whether something has come.
const PAUSE: Duration = Duration::from_micros(50);

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
    match target.protocol {
        Protocol::Tcp => dial_tcp(target),
        _ => dial_udp(target),
    }
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
    let any =
        if target.frontend.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let start = Instant::now();
    let client = UdpSocket::bind(SocketAddr::new(any, 0)).map_err(call("bind"))?;
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
