//! One connection: made, asked who answers, closed.

use crate::backend::{Id, MESSAGE};
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
    sockopt::{Timeout, set_socket_timeout},
};
use std::{fmt, io, net::SocketAddr, os::fd::OwnedFd, time::Duration};

/// How long an answer may take: a client of a lost segment repeats it after one second, then two.
const PATIENCE: Duration = Duration::from_secs(6);

/// TCP or UDP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// What a client dials, and whether its address is to be one of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Way {
    pub protocol: Protocol,
    pub to: SocketAddr,
    pub from: Option<SocketAddr>,
    /// The Service behind it: the answer must be from its endpoints.
    pub service: u8,
    /// Whether the fault takes away what it comes by, so that there is a time when nobody could serve it.
    pub severed: bool,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.protocol == Protocol::Tcp { "TCP" } else { "UDP" };
        write!(f, "{protocol} to {}", self.to)?;
        self.from.map_or(Ok(()), |from| write!(f, " from {}", from.ip()))
    }
}

/// A call that failed.
#[derive(Debug)]
pub struct Failed {
    pub call: &'static str,
    pub error: io::Error,
}

fn fail<E: Into<io::Error>>(call: &'static str) -> impl Fn(E) -> Failed {
    move |error| Failed { call, error: error.into() }
}

/// A connection, or a connected UDP socket.
pub struct Session {
    socket: OwnedFd,
    service: u8,
}

impl Session {
    /// Connects.
    pub fn open(way: &Way) -> Result<Self, Failed> {
        let family = if way.to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let kind = if way.protocol == Protocol::Tcp { SocketType::STREAM } else { SocketType::DGRAM };
        let socket = net::socket_with(family, kind, SocketFlags::CLOEXEC, None).map_err(fail("socket"))?;
        for timeout in [Timeout::Send, Timeout::Recv] {
            set_socket_timeout(&socket, timeout, Some(PATIENCE)).map_err(fail("setsockopt"))?;
        }
        if let Some(from) = way.from {
            net::bind(&socket, &from).map_err(fail("bind"))?;
        }
        net::connect(&socket, &way.to).map_err(fail("connect"))?;
        Ok(Self { socket, service: way.service })
    }

    /// Sends a number and returns who sent it back.
    pub fn ask(&self, number: u64) -> Result<Id, Failed> {
        let mut message = [0; MESSAGE];
        let (head, tail) = message.split_at_mut(MESSAGE / 2);
        head.copy_from_slice(&number.to_le_bytes());
        tail.fill(0);
        net::send(&self.socket, &message, SendFlags::NOSIGNAL).map_err(fail("send"))?;
        let mut answer = [0; MESSAGE];
        let mut length = 0;
        while length < MESSAGE {
            let (count, _) =
                net::recv(&self.socket, &mut answer[length..], RecvFlags::empty()).map_err(fail("recv"))?;
            if count == 0 {
                return Err(fail("recv")(io::Error::from(io::ErrorKind::UnexpectedEof)));
            }
            length += count;
        }
        let word = |half: usize| u64::from_le_bytes(answer[half * 8..half * 8 + 8].try_into().unwrap());
        let (echoed, id) = (word(0), word(1));
        if echoed != number || id % 10 != u64::from(self.service) {
            let text = format!("asked {number} of Service {}, got {echoed} from {id}", self.service);
            return Err(fail("recv")(io::Error::new(io::ErrorKind::InvalidData, text)));
        }
        Ok(id)
    }
}

/// Connects, asks and closes.
pub fn dial(way: &Way, number: u64) -> Result<Id, Failed> {
    Session::open(way)?.ask(number)
}
