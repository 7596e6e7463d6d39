//! Sockets that a client keeps, through a Service to one certain pod.

use super::ask::{Answers, PATIENCE};
use crate::lab::UdpAsker;
use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

/// How often a pod is looked for; chance never takes that long.
const TRIES: usize = 1_000;

/// Who answers, and what the client sees as its peer.
type Answer = io::Result<(String, SocketAddr)>;

/// A socket that can be asked who is at its other end, again and again.
pub trait Held: Sized {
    /// Makes one, and asks. It belongs to the namespace and cgroup of the calling thread.
    fn open(address: SocketAddr) -> io::Result<(Self, String)>;

    /// Asks.
    fn ask(&mut self) -> Answer;

    /// The address of the Service.
    fn address(&self) -> SocketAddr;

    /// Makes sockets until one has reached `pod`.
    fn to(pod: &str, address: SocketAddr) -> anyhow::Result<Self> {
        for _ in 0..TRIES {
            let (held, name) = Self::open(address)?;
            if name == pod {
                return Ok(held);
            }
        }
        anyhow::bail!("{pod} never answered at {address}")
    }

    /// Asks so many times by each of these.
    fn ask_all(all: &mut [Self], times: usize) -> Answers {
        let mut answers = Answers::default();
        for held in all {
            let address = held.address();
            (0..times).for_each(|_| answers.take(held.ask(), address));
        }
        answers
    }
}

/// A TCP connection to an echo.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    /// Who accepted it.
    name: String,
}

impl Held for Connection {
    fn open(address: SocketAddr) -> io::Result<(Self, String)> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = Vec::new();
        let mut byte = [0];
        while line.last() != Some(&b'\n') && stream.read(&mut byte)? > 0 {
            line.extend(byte);
        }
        let name = name(&line);
        Ok((Self { stream, address, name: name.clone() }, name))
    }

    fn ask(&mut self) -> Answer {
        let words = b"still there?";
        self.stream.write_all(words)?;
        let mut echo = [0; 12];
        self.stream.read_exact(&mut echo)?;
        if echo != *words {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((self.name.clone(), self.stream.peer_addr()?))
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A UDP socket that names its destination with each datagram.
#[derive(Debug)]
pub struct UnconnectedUdp {
    asker: UdpAsker,
    address: SocketAddr,
}

impl Held for UnconnectedUdp {
    fn open(address: SocketAddr) -> io::Result<(Self, String)> {
        let asker = if address.is_ipv4() { UdpAsker::ipv4(PATIENCE)? } else { UdpAsker::ipv6(PATIENCE)? };
        let mut held = Self { asker, address };
        let (name, _) = held.ask()?;
        Ok((held, name))
    }

    fn ask(&mut self) -> Answer {
        self.asker.ask(self.address)
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A UDP socket that is connected: no program looks at what it sends.
#[derive(Debug)]
pub struct ConnectedUdp {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Held for ConnectedUdp {
    fn open(address: SocketAddr) -> io::Result<(Self, String)> {
        let any: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let mut held = Self { socket: UdpSocket::bind((any, 0))?, address };
        held.connect()?;
        let (name, _) = held.ask()?;
        Ok((held, name))
    }

    fn ask(&mut self) -> Answer {
        self.socket.set_read_timeout(Some(PATIENCE))?;
        self.socket.send(b"who are you?\n")?;
        let mut buffer = [0; 512];
        let count = self.socket.recv(&mut buffer)?;
        Ok((name(&buffer[..count]), self.socket.peer_addr()?))
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl ConnectedUdp {
    /// Connects anew, which such a socket may do at any time.
    pub fn connect(&self) -> io::Result<()> {
        self.socket.connect(self.address)
    }

    /// Waits in recv() and returns its error; `None` if there was neither error nor datagram for so long.
    pub fn wait(&self, limit: Duration) -> io::Result<Option<io::Error>> {
        self.socket.set_read_timeout(Some(limit))?;
        match self.socket.recv(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Ok(Some(error)),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "an answer that nobody asked for")),
        }
    }
}

/// Servers answer with a line that begins with their name.
fn name(line: &[u8]) -> String {
    let name = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
