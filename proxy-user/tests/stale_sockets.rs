//! What becomes of connected UDP sockets, in pods and on the node, when a Service's endpoints go: the
//! dataplane over real sockets, in a lab.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod field;

use field::{NODE, TIMEOUT, addr, service, skipped};
use shunt::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    kernel::{self, Closed, close_stale_sockets},
    lab::{Bpffs, Cgroup, Lab, Place, Process, TcpServer, UdpServer},
    model::{Conditions, Event, ObjectName, Protocol},
    writer::Capacities,
};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    process::Command,
};

const PORT: u16 = 5353;
/// Pods with a server; the pod after them is the clients'.
const SERVERS: usize = 2;
const BOTH: [usize; 2] = [0, 1];

/// Ready, or on the way out.
const READY: Conditions = Conditions { ready: true, serving: true, terminating: false };
const STILL_SERVING: Conditions = Conditions { ready: false, serving: true, terminating: true };
const NOT_SERVING: Conditions = Conditions { ready: false, serving: false, terminating: true };

/// A node with an agent that may be away. Fields are dropped in their order.
struct Stand {
    agent: Option<Dataplane>,
    _pins: Pins,
    options: Options,
    /// A process in each namespace, as every pod has one: the way to it leads through /proc.
    _processes: Vec<Process>,
    _servers: Vec<(UdpServer, TcpServer)>,
    lab: Lab,
    cgroup: Cgroup,
    _bpffs: Bpffs,
}

struct Pins(std::path::PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        if let Err(error) = kernel::remove(&self.0) {
            eprintln!("pins stay behind: {error}");
        }
    }
}

/// The frontends: one Service of each family and protocol.
const FRONTENDS: [(&str, &str, Protocol); 4] = [
    ("dns4", "10.96.0.53:53", Protocol::Udp),
    ("dns6", "[fd00:96::53]:53", Protocol::Udp),
    ("web4", "10.96.0.80:80", Protocol::Tcp),
    ("web6", "[fd00:96::80]:80", Protocol::Tcp),
];

impl Stand {
    fn new() -> Self {
        let (lab, cgroup, bpffs) =
            (Lab::new(SERVERS + 1).unwrap(), Cgroup::new().unwrap(), Bpffs::new().unwrap());
        let options = Options {
            cgroup: cgroup.path().to_owned(),
            pin_path: bpffs.path().join("shunt"),
            capacities: Capacities::for_cluster(200, 10),
            ..Options::default()
        };
        let mut servers = Vec::new();
        for pod in lab.pods().iter().take(SERVERS) {
            for ip in [IpAddr::from(pod.ipv4()), pod.ipv6().into()] {
                let (name, at) = (format!("pod-{}", servers.len() / 2), SocketAddr::new(ip, PORT));
                servers.push((
                    UdpServer::start(pod, &name, at).unwrap(),
                    TcpServer::start_echo(pod, &name, at).unwrap(),
                ));
            }
        }
        let process = |place: Place| {
            let mut command = Command::new("sleep");
            place.enter_command(command.arg("600"));
            Process::start(&mut command).unwrap()
        };
        let processes = vec![process(lab.node().into()), process(lab.pod(SERVERS).into())];
        let pins = Pins(options.pin_path.clone());
        let mut stand = Self {
            agent: None,
            _pins: pins,
            options,
            _processes: processes,
            _servers: servers,
            lab,
            cgroup,
            _bpffs: bpffs,
        };
        stand.start(&BOTH.map(|pod| (pod, READY)));
        stand
    }

    /// Starts the agent, which reads the whole list before it programs anything.
    fn start(&mut self, endpoints: &[(usize, Conditions)]) {
        self.agent = Some(Dataplane::open(NODE, Rules::default(), &self.options).unwrap());
        self.sync(endpoints);
    }

    /// Lets the agent end; what it programmed goes on.
    fn stop(&mut self) {
        self.agent = None;
    }

    /// Tells the agent the endpoints of all Services.
    fn sync(&mut self, endpoints: &[(usize, Conditions)]) {
        let agent = self.agent.as_mut().unwrap();
        for (name, frontend, protocol) in FRONTENDS {
            let ip = |pod: usize| match addr(frontend) {
                SocketAddr::V4(_) => IpAddr::from(self.lab.pod(pod).ipv4()),
                SocketAddr::V6(_) => self.lab.pod(pod).ipv6().into(),
            };
            let addresses: Vec<_> =
                endpoints.iter().map(|(pod, _)| SocketAddr::new(ip(*pod), PORT)).collect();
            for mut event in service(name, addr(frontend), protocol, &addresses) {
                if let Event::SliceApplied(slice) = &mut event {
                    for (endpoint, (_, conditions)) in slice.endpoints.iter_mut().zip(endpoints) {
                        endpoint.conditions = *conditions;
                    }
                }
                agent.apply(event);
            }
        }
        agent.sync().unwrap();
    }

    fn close(&self) -> Closed {
        let closed = close_stale_sockets(self.agent.as_ref().unwrap().engine().writer()).unwrap();
        eprintln!("{closed:?}");
        closed
    }

    /// A client of each kind for each server, in the pod of clients and on the node.
    fn clients(&self) -> Vec<Client> {
        let mut clients = Vec::new();
        for place in [Place::from(self.lab.pod(SERVERS)), self.lab.node().into()] {
            for (frontend, bind) in [
                ("10.96.0.53:53", "0.0.0.0:0"),
                ("[fd00:96::53]:53", "[::]:0"),
                ("[::ffff:10.96.0.53]:53", "[::]:0"),
            ] {
                let mut missing = BTreeSet::from(BOTH);
                for _ in 0..200 {
                    let client =
                        self.cgroup.run_in(place.clone(), || Client::new(bind, addr(frontend))).unwrap();
                    if missing.remove(&client.server) {
                        clients.push(client);
                    }
                }
                assert!(missing.is_empty(), "200 picks of two at random");
            }
        }
        clients
    }

    /// A TCP connection through each Service to each server.
    fn streams(&self) -> Vec<TcpStream> {
        let mut streams = Vec::new();
        for frontend in ["10.96.0.80:80", "[fd00:96::80]:80"].map(addr) {
            let mut missing = BTreeSet::from(BOTH);
            for _ in 0..200 {
                let connect = || TcpStream::connect_timeout(&frontend, TIMEOUT).unwrap();
                let stream = self.cgroup.run_in(self.lab.pod(SERVERS), connect).unwrap();
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                if missing.remove(&number(&line(&stream))) {
                    streams.push(stream);
                }
            }
            assert!(missing.is_empty(), "200 picks of two at random");
        }
        streams
    }
}

/// A UDP socket that is connected through a Service.
struct Client {
    socket: UdpSocket,
    frontend: SocketAddr,
    /// The server that it reached.
    server: usize,
}

impl Client {
    fn new(bind: &str, frontend: SocketAddr) -> Self {
        let socket = UdpSocket::bind(bind).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut client = Self { socket, frontend, server: usize::MAX };
        client.connect();
        client
    }

    fn connect(&mut self) {
        self.socket.connect(self.frontend).unwrap();
        self.server = self.ask().unwrap();
    }

    /// Asks by send(2) and recv(2), which no program sees the destination of.
    fn ask(&self) -> std::io::Result<usize> {
        self.socket.send(b"who are you?")?;
        let mut buffer = [0; 256];
        let count = self.socket.recv(&mut buffer)?;
        Ok(number(str::from_utf8(&buffer[..count]).unwrap()))
    }

    fn was_aborted(&self) -> bool {
        let error = self.socket.recv(&mut [0]).unwrap_err();
        error.kind() == ErrorKind::ConnectionAborted
    }
}

/// The server's number, from the line `pod-<n> client`.
fn number(line: &str) -> usize {
    line.split(' ').next().unwrap().trim_start_matches("pod-").parse().unwrap()
}

fn line(stream: &TcpStream) -> String {
    let mut line = String::new();
    BufReader::with_capacity(256, stream).read_line(&mut line).unwrap();
    line
}

/// Every client of a removed server notices and reaches another one; the others never notice anything.
fn assert_moved(clients: Vec<Client>, removed: usize) {
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

#[test]
fn clients_of_a_removed_backend_notice_and_those_of_the_others_do_not() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let (clients, mut streams) = (stand.clients(), stand.streams());
    assert_eq!(stand.close().namespaces, 0, "no backend has gone");

    stand.sync(&[(1, READY)]);
    assert_eq!(stand.close().closed, 6);
    assert_moved(clients, 0);
    for stream in &mut streams {
        stream.write_all(b"still there\n").unwrap();
        assert_eq!(line(stream), "still there\n", "an established TCP connection is never cut");
    }
    assert_eq!(stand.close().closed, 0, "each is closed once");
}

#[test]
fn a_backend_that_is_removed_while_the_agent_is_away_loses_its_clients_at_the_next_start() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let clients = stand.clients();
    stand.stop();
    assert!(clients.iter().all(|client| client.ask().unwrap() == client.server));
    stand.start(&[(1, READY)]);
    assert_eq!(stand.close().closed, 6);
    assert_moved(clients, 0);
}

#[test]
fn an_agent_that_ended_before_it_could_close_them_does_so_at_the_next_start() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let clients = stand.clients();
    stand.sync(&[(1, READY)]);
    stand.stop();
    // Nothing has changed since, so the sync frees nothing; the maps still know whose backend is gone.
    stand.start(&[(1, READY)]);
    assert_eq!(stand.close().closed, 6);
    assert_moved(clients, 0);
}

#[test]
fn a_terminating_backend_keeps_its_clients_for_as_long_as_it_serves() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let clients = stand.clients();
    stand.sync(&[(0, STILL_SERVING), (1, READY)]);
    assert_eq!(stand.close().namespaces, 0, "it gets no new clients and keeps those it has");
    // Also over a restart.
    stand.stop();
    stand.start(&[(0, STILL_SERVING), (1, READY)]);
    assert_eq!(stand.close().namespaces, 0);
    assert!(clients.iter().all(|client| client.ask().unwrap() == client.server));

    stand.sync(&[(0, NOT_SERVING), (1, READY)]);
    assert_eq!(stand.close().closed, 6);
    assert_moved(clients, 0);
}

#[test]
fn a_deleted_service_and_one_without_endpoints_lose_all_their_clients() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let clients = stand.clients();
    let agent = stand.agent.as_mut().unwrap();
    agent.delete_service(ObjectName::new("default", "dns4"));
    agent.delete_endpoints(ObjectName::new("default", "dns6-1"));
    agent.sync().unwrap();
    assert_eq!(stand.close().closed, clients.len());
    assert!(clients.iter().all(Client::was_aborted));
}
