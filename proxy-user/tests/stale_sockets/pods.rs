//! Pods with servers, a pod of clients, and the clients: UDP sockets that are connected through a Service.

use crate::field::{TIMEOUT, addr};
use shunt::lab::{Cgroup, Lab, Place, Process, TcpServer, UdpServer};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, ErrorKind},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    process::Command,
};

/// Where every server listens, over UDP and TCP.
pub const PORT: u16 = 5353;
/// Pods with a server; the pod after them is the clients'.
pub const SERVERS: usize = 2;
pub const BOTH: [usize; 2] = [0, 1];

/// Frontends of UDP Services, and where a client's socket is bound that dials them.
const DIALLED: [(&str, &str); 3] =
    [("10.96.0.53:53", "0.0.0.0:0"), ("[fd00:96::53]:53", "[::]:0"), ("[::ffff:10.96.0.53]:53", "[::]:0")];

/// A lab, with a server in each pod but the last.
pub struct Pods {
    /// A process in each namespace with clients, as every pod has one: the way to it leads through /proc.
    _processes: Vec<Process>,
    _servers: Vec<(UdpServer, TcpServer)>,
    pub lab: Lab,
}

impl Pods {
    pub fn new() -> Self {
        let lab = Lab::new(SERVERS + 1).unwrap();
        let mut servers = Vec::new();
        for (number, pod) in lab.pods().iter().take(SERVERS).enumerate() {
            for ip in [IpAddr::from(pod.ipv4()), pod.ipv6().into()] {
                let (name, at) = (format!("pod-{number}"), SocketAddr::new(ip, PORT));
                let udp = UdpServer::start(pod, &name, at).unwrap();
                servers.push((udp, TcpServer::start_echo(pod, &name, at).unwrap()));
            }
        }
        let process = |place: Place| {
            let mut command = Command::new("sleep");
            place.enter_command(command.arg("600"));
            Process::start(&mut command).unwrap()
        };
        let processes = vec![process(lab.node().into()), process(lab.pod(SERVERS).into())];
        Self { _processes: processes, _servers: servers, lab }
    }

    /// A client of each kind for each server, in the pod of clients and on the node: twelve.
    pub fn clients(&self, cgroup: &Cgroup) -> Vec<Client> {
        let mut clients = Vec::new();
        for place in [Place::from(self.lab.pod(SERVERS)), self.lab.node().into()] {
            for (frontend, bind) in DIALLED {
                let connect = || Client::new(bind, addr(frontend));
                let of_each = one_of_each(|| cgroup.run_in(place.clone(), connect).unwrap(), |c| c.server);
                clients.extend(of_each);
            }
        }
        clients
    }

    /// A TCP connection to each server through each frontend.
    pub fn streams(&self, cgroup: &Cgroup, frontends: [&str; 2]) -> Vec<TcpStream> {
        let connect = |frontend| {
            move || {
                let stream = TcpStream::connect_timeout(&addr(frontend), TIMEOUT).unwrap();
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                let server = number(&line(&stream));
                (stream, server)
            }
        };
        let place = self.lab.pod(SERVERS);
        let of_each = |frontend| {
            one_of_each(|| cgroup.run_in(place, connect(frontend)).unwrap(), |(_, server)| *server)
        };
        frontends.into_iter().flat_map(of_each).map(|(stream, _)| stream).collect()
    }
}

/// Repeats `make`, which picks a server at random, until it has picked each.
fn one_of_each<T>(mut make: impl FnMut() -> T, server: impl Fn(&T) -> usize) -> Vec<T> {
    let mut missing = BTreeSet::from(BOTH);
    let mut made = Vec::new();
    for _ in 0..200 {
        let one = make();
        if missing.remove(&server(&one)) {
            made.push(one);
        }
        if missing.is_empty() {
            return made;
        }
    }
    panic!("200 picks of two at random, and never {missing:?}");
}

/// A UDP socket that is connected through a Service.
pub struct Client {
    socket: UdpSocket,
    pub frontend: SocketAddr,
    /// The server that it reached.
    pub server: usize,
}

impl Client {
    fn new(bind: &str, frontend: SocketAddr) -> Self {
        let socket = UdpSocket::bind(bind).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut client = Self { socket, frontend, server: usize::MAX };
        client.connect();
        client
    }

    pub fn connect(&mut self) {
        self.socket.connect(self.frontend).unwrap();
        self.server = self.ask().unwrap();
    }

    /// Asks by send(2) and recv(2), which no program sees the destination of.
    pub fn ask(&self) -> std::io::Result<usize> {
        self.socket.send(b"who are you?")?;
        let mut buffer = [0; 256];
        let count = self.socket.recv(&mut buffer)?;
        Ok(number(str::from_utf8(&buffer[..count]).unwrap()))
    }

    pub fn was_aborted(&self) -> bool {
        let error = self.socket.recv(&mut [0]).unwrap_err();
        error.kind() == ErrorKind::ConnectionAborted
    }
}

/// The server's number, from the line `pod-<n> client`.
fn number(line: &str) -> usize {
    line.split(' ').next().unwrap().trim_start_matches("pod-").parse().unwrap()
}

/// A line that the server sent.
pub fn line(stream: &TcpStream) -> String {
    let mut line = String::new();
    BufReader::with_capacity(256, stream).read_line(&mut line).unwrap();
    line
}

/// Every client of a removed server notices and reaches another one; the others never notice anything.
pub fn assert_moved(clients: Vec<Client>, removed: usize) {
    let (gone, others): (Vec<_>, Vec<_>) = clients.into_iter().partition(|c| c.server == removed);
    assert_eq!((gone.len(), others.len()), (6, 6));
    for mut client in gone {
        assert!(client.was_aborted(), "{}", client.frontend);
        client.connect();
        assert_ne!(client.server, removed);
    }
    for client in others {
        assert_eq!(client.ask().unwrap(), client.server, "{}", client.frontend);
    }
}
