//! Clients that dial without a pause, each of which notices the smallest change.

use shunt::lab::{Place, TcpSession, UdpAsker, tcp_ask};
use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, UdpSocket},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(3);
/// Streams and flows that live as long as the traffic.
const LASTING: usize = 12;
/// Flows that are kept of those that begin under way.
const KEPT: usize = 200;
/// No traffic lasts longer.
const LIMIT: Duration = Duration::from_secs(60);

/// Frontends that answer: TCP servers that echo, UDP servers, and TCP servers with session affinity.
pub struct Targets {
    pub tcp: Vec<SocketAddr>,
    pub udp: Vec<SocketAddr>,
    pub affine: Vec<SocketAddr>,
    /// recvmsg() and getpeername() of the clients show the frontend only with the socket path; packets show it anyhow.
    pub connected_udp: bool,
}

/// What was asked.
#[derive(Debug, Default)]
pub struct Counts {
    pub connections: AtomicUsize,
    pub exchanges: AtomicUsize,
    pub datagrams: AtomicUsize,
    pub flows: AtomicUsize,
    pub affine: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Counts {
    fn check<T>(&self, what: impl FnOnce() -> String, done: io::Result<T>) -> Option<T> {
        match done {
            Ok(value) => Some(value),
            Err(error) => {
                self.failures.lock().unwrap().push(format!("{}: {error}", what()));
                None
            }
        }
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&self, what: &str, found: T, wanted: T) {
        if found != wanted {
            self.failures.lock().unwrap().push(format!("{what}: {found:?} instead of {wanted:?}"));
        }
    }

    /// Asserts that nothing failed, and that every kind of client was busy.
    #[track_caller]
    pub fn assert_all_well(&self, least: usize) {
        let failures = self.failures.lock().unwrap();
        assert!(
            failures.is_empty(),
            "{} failures: {:#?}",
            failures.len(),
            &failures[..failures.len().min(10)]
        );
        for (what, count) in [
            ("connections", &self.connections),
            ("exchanges", &self.exchanges),
            ("datagrams", &self.datagrams),
            ("flows", &self.flows),
            ("affine connections", &self.affine),
        ] {
            let count = count.load(Ordering::Relaxed);
            assert!(count >= least, "{count} {what}");
        }
    }
}

/// Does `work` while clients in `place` are at it.
pub fn during<T>(place: &Place, targets: &Targets, work: impl FnOnce() -> T) -> (T, Counts) {
    let (counts, stop) = (Counts::default(), AtomicBool::new(false));
    let end = Instant::now() + LIMIT;
    let goes_on = || !stop.load(Ordering::Relaxed) && Instant::now() < end;
    let ready = AtomicUsize::new(0);
    let value = thread::scope(|scope| {
        for client in [connections, streams, datagrams, begun_flows, affine, connected] {
            let (counts, goes_on, ready) = (&counts, &goes_on, &ready);
            scope.spawn(move || place.run(|| client(targets, counts, ready, goes_on)).unwrap());
        }
        while ready.load(Ordering::Relaxed) < 6 && goes_on() {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(50));
        let _stop = Stop(&stop);
        let value = work();
        thread::sleep(Duration::from_millis(50));
        value
    });
    (value, counts)
}

/// Ends the traffic, also where the work panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type GoesOn<'a> = &'a dyn Fn() -> bool;

fn add(count: &AtomicUsize) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Short connections, one after the other.
fn connections(targets: &Targets, counts: &Counts, ready: &AtomicUsize, goes_on: GoesOn<'_>) {
    add(ready);
    for to in targets.tcp.iter().cycle() {
        if !goes_on() {
            return;
        }
        if let Some(reply) = counts.check(|| format!("connect {to}"), tcp_ask(*to, PATIENCE)) {
            counts.equal("getpeername", reply.peer_name, *to);
            add(&counts.connections);
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Streams that last.
fn streams(targets: &Targets, counts: &Counts, ready: &AtomicUsize, goes_on: GoesOn<'_>) {
    let opened = targets.tcp.iter().cycle().take(LASTING);
    let mut sessions: Vec<_> = opened
        .filter_map(|to| counts.check(|| format!("stream {to}"), TcpSession::open(*to, PATIENCE)))
        .collect();
    add(ready);
    let data: Vec<u8> = (0..3_000_u32).map(|at| (at / 7) as u8).collect();
    while goes_on() {
        for session in &mut sessions {
            let peer = session.reply().peer_name;
            if counts.check(|| format!("stream to {peer} goes on"), session.exchange(&data)).is_none() {
                return;
            }
            counts
                .check(|| "getpeername".into(), session.stream().peer_addr())
                .into_iter()
                .for_each(|name| counts.equal("getpeername of a stream", name, peer));
            add(&counts.exchanges);
        }
    }
}

fn asker(to: SocketAddr) -> io::Result<UdpAsker> {
    if to.is_ipv4() { UdpAsker::ipv4(PATIENCE) } else { UdpAsker::ipv6(PATIENCE) }
}

/// A UDP socket's flow, and who answers it.
struct Flow {
    socket: UdpAsker,
    to: SocketAddr,
    name: String,
}

impl Flow {
    fn begin(to: SocketAddr, counts: &Counts) -> Option<Self> {
        let socket = counts.check(|| "socket".into(), asker(to))?;
        let (name, from) = counts.check(|| format!("a flow to {to} begins"), socket.ask(to))?;
        counts.equal("recvmsg", from, to);
        Some(Self { socket, to, name })
    }

    fn ask(&self, counts: &Counts) {
        let asked = self.socket.ask(self.to);
        let Some((name, from)) = counts.check(|| format!("a flow to {} goes on", self.to), asked) else {
            return;
        };
        counts.equal("recvmsg of a flow", from, self.to);
        counts.equal("backend of a flow", &name, &self.name);
        add(&counts.datagrams);
    }
}

/// UDP flows that last.
fn datagrams(targets: &Targets, counts: &Counts, ready: &AtomicUsize, goes_on: GoesOn<'_>) {
    let begun = targets.udp.iter().cycle().take(LASTING);
    let flows: Vec<_> = begun.filter_map(|to| Flow::begin(*to, counts)).collect();
    add(ready);
    while goes_on() {
        flows.iter().for_each(|flow| flow.ask(counts));
    }
}

/// UDP flows that begin at any moment, and go on at once and later.
fn begun_flows(targets: &Targets, counts: &Counts, ready: &AtomicUsize, goes_on: GoesOn<'_>) {
    let mut kept = Vec::new();
    add(ready);
    for (number, to) in targets.udp.iter().cycle().enumerate() {
        if !goes_on() {
            break;
        }
        let Some(flow) = Flow::begin(*to, counts) else { continue };
        add(&counts.flows);
        flow.ask(counts);
        // A socket that is closed leaves its entries behind, and those in use may be evicted from a full map.
        thread::sleep(Duration::from_millis(2));
        if kept.len() < KEPT {
            kept.push(flow);
        } else {
            kept[number % KEPT].ask(counts);
            kept[number % KEPT] = flow;
        }
    }
    kept.iter().for_each(|flow| flow.ask(counts));
}

/// Connections of a client that keeps its backend.
fn affine(targets: &Targets, counts: &Counts, ready: &AtomicUsize, goes_on: GoesOn<'_>) {
    let mut known: HashMap<SocketAddr, String> = HashMap::new();
    add(ready);
    for to in targets.affine.iter().cycle() {
        if !goes_on() {
            return;
        }
        if let Some(reply) = counts.check(|| format!("connect {to}"), tcp_ask(*to, PATIENCE)) {
            let first = known.entry(*to).or_insert_with(|| reply.name.clone());
            counts.equal("backend of a client", &reply.name, first);
            add(&counts.affine);
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Connected UDP sockets: the kernel lets in what the backend of connect() answers, and nothing else.
fn connected(targets: &Targets, counts: &Counts, ready: &AtomicUsize, goes_on: GoesOn<'_>) {
    let dial = |to: &SocketAddr| {
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(to)?;
        Ok::<_, io::Error>(socket)
    };
    let dialled = targets.udp.iter().cycle().take(LASTING);
    let sockets: Vec<_> = dialled
        .filter_map(|to| Some((*to, counts.check(|| format!("connect to {to}"), dial(to))?)))
        .collect();
    add(ready);
    let mut answer = [0; 512];
    while goes_on() && targets.connected_udp {
        for (to, socket) in &sockets {
            let asked = socket.send(b"who?").and_then(|_| socket.recv_from(&mut answer));
            if let Some((_, from)) = counts.check(|| format!("connected to {to}"), asked) {
                counts.equal("recvfrom of a connected socket", from, *to);
            }
            // With an address too: it must be the backend of connect() that gets it.
            let asked = socket.send_to(b"who?", to).and_then(|_| socket.recv_from(&mut answer));
            counts.check(|| format!("sendto {to} when connected"), asked);
            counts
                .check(|| "getpeername".into(), socket.peer_addr())
                .into_iter()
                .for_each(|name| counts.equal("getpeername of a connected socket", name, *to));
        }
    }
}
