//! Clients that connect all the time.

use crate::{
    backend::Id,
    count::{Counts, Phase},
    dial::{Protocol, Way, dial},
    scale::Scale,
    sessions,
};
use shunt::lab::Place;
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Those who connect, of each client; the sessions have one more thread.
const WORKERS: u64 = 2;

/// The Services, by the last digit of who answers.
const WEB: u8 = 0;
const STICKY: u8 = 1;

/// A client: where it is, and what it dials.
#[derive(Clone, Debug)]
pub struct Client {
    pub place: Place,
    /// Addresses of the Service without session affinity, and of the one with.
    pub web: Vec<SocketAddr>,
    pub sticky: Vec<SocketAddr>,
    /// Its addresses, each a client of its own for session affinity; none for the one that the kernel picks.
    pub own: Vec<IpAddr>,
    /// Whether the fault takes away what its new connections come by.
    pub severed: bool,
    /// Whether also what its streams and flows come by.
    pub breaks: bool,
    /// Whether it opens more streams while the fault happens.
    pub reopens: bool,
}

impl Client {
    /// Ways to the Service without session affinity, one of each protocol and address.
    pub fn plain(&self) -> Vec<Way> {
        let protocols = [Protocol::Tcp, Protocol::Udp].into_iter();
        let way = |protocol, to: &SocketAddr| Way {
            protocol,
            to: *to,
            from: None,
            service: WEB,
            severed: self.severed,
        };
        protocols.flat_map(|protocol| self.web.iter().map(move |to| way(protocol, to))).collect()
    }

    /// Ways with session affinity, one of each protocol, address and client.
    pub fn affine(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        for to in self.sticky.iter().copied() {
            let own = self.own.iter().filter(|ip| ip.is_ipv4() == to.is_ipv4());
            let mut from: Vec<_> = own.map(|ip| Some(SocketAddr::new(*ip, 0))).collect();
            if from.is_empty() {
                from.push(None);
            }
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let way = |from| Way { protocol, to, from, service: STICKY, severed: self.severed };
                ways.extend(from.iter().copied().map(way));
            }
        }
        ways
    }

    /// What new connections go through in turn: between those with affinity there are all of the others, TCP twice.
    fn connections(&self) -> Vec<Way> {
        let plain = self.plain();
        let tcp = plain.iter().filter(|way| way.protocol == Protocol::Tcp);
        let others: Vec<_> = plain.iter().chain(tcp).copied().collect();
        self.affine().into_iter().flat_map(|affine| others.iter().copied().chain([affine])).collect()
    }
}

/// The clients at work. Dropping it ends them.
pub struct Load {
    pub counts: Arc<Counts>,
    kept: Arc<Kept>,
    holders: Crowd,
    workers: Vec<Crowd>,
    scale: Scale,
}

/// Threads that end together.
#[derive(Default)]
struct Crowd {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The backend that each client with session affinity was given last.
#[derive(Debug, Default)]
struct Kept(Mutex<HashMap<Way, Id>>);

/// Number of a client, in the order in which they joined.
pub type ClientIndex = usize;

impl Load {
    /// Starts them, with streams and flows opened first.
    pub fn start(clients: &[Client], scale: Scale) -> Self {
        let (counts, kept) = (Arc::new(Counts::new()), Arc::new(Kept::default()));
        let (holders, workers) = (Crowd::default(), Vec::new());
        let mut load = Self { counts, kept, holders, workers, scale };
        for client in clients {
            load.join(client);
        }
        load
    }

    fn join(&mut self, client: &Client) {
        let (opened, ready) = mpsc::channel();
        let (sessions, kept, client) = (self.scale.sessions, Arc::clone(&self.kept), client.clone());
        let (counts, stop) = (Arc::clone(&self.counts), Arc::clone(&self.holders.stop));
        let holder = client.clone();
        self.holders.threads.push(thread::spawn(move || {
            // One after the other: of two first ones at the same moment, affinity is with the later.
            let prime = || {
                for (way, number) in holder.affine().iter().zip(1..) {
                    let id = dial(way, number).unwrap_or_else(|failed| panic!("{way}: {failed:?}"));
                    assert_eq!(kept.moved(way, id), None);
                }
            };
            holder.place.run(prime).unwrap();
            sessions::hold(&holder, sessions, &counts, &stop, &opened);
        }));
        ready.recv().unwrap();
        self.workers.push(Crowd::default());
        self.connect_again(self.workers.len() - 1, &client);
    }

    /// Ends the threads of a client that connect; its streams and flows go on.
    pub fn stop_connecting(&mut self, client: ClientIndex) {
        self.workers[client].end();
    }

    /// Lets a client that has stopped connect again, from where it is now.
    pub fn connect_again(&mut self, index: ClientIndex, client: &Client) {
        let crowd = &mut self.workers[index];
        *crowd = Crowd::default();
        for worker in 0..WORKERS {
            let (counts, kept, stop) =
                (Arc::clone(&self.counts), Arc::clone(&self.kept), Arc::clone(&crowd.stop));
            let (client, pause) = (client.clone(), self.scale.pause);
            let work = move || {
                let connect = || connect(&client, worker << 48, pause, &kept, &counts, &stop);
                client.place.run(connect).unwrap();
            };
            crowd.threads.push(thread::spawn(work));
        }
    }

    /// Waits until that many more connections were served.
    #[track_caller]
    pub fn serve(&self, more: u64) {
        let served = || self.counts.connections().iter().sum::<u64>();
        let (wanted, end) = (served() + more, Instant::now() + Duration::from_secs(60));
        while served() < wanted {
            let goes_on = Instant::now() < end && self.is_alive();
            assert!(goes_on, "the clients are not served: {}", self.counts.summary());
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn is_alive(&self) -> bool {
        let mut threads = self.workers.iter().chain([&self.holders]).flat_map(|crowd| &crowd.threads);
        threads.all(|thread| !thread.is_finished())
    }

    /// What is counted from now on belongs to another phase.
    pub fn enter(&self, phase: Phase) {
        self.counts.enter(phase);
    }

    /// Ends the clients: each finishes what it is at.
    pub fn end(&mut self) {
        self.workers.iter().chain([&self.holders]).for_each(|crowd| crowd.stop.store(true, Relaxed));
        self.workers.iter_mut().chain([&mut self.holders]).for_each(Crowd::end);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Crowd {
    fn end(&mut self) {
        self.stop.store(true, Relaxed);
        let ended: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        assert!(thread::panicking() || ended.iter().all(Result::is_ok), "a client panicked");
    }
}

impl Kept {
    /// Whom a client was with before, if it is with another one now.
    fn moved(&self, way: &Way, id: Id) -> Option<Id> {
        let before = self.0.lock().unwrap().insert(*way, id);
        before.filter(|before| *before != id)
    }
}

/// Connects until it is stopped, with numbers from `number` on.
fn connect(
    client: &Client,
    mut number: u64,
    pause: Duration,
    kept: &Kept,
    counts: &Counts,
    stop: &AtomicBool,
) {
    for way in client.connections().iter().cycle() {
        if stop.load(Relaxed) {
            return;
        }
        number += 1;
        let begun = counts.begin();
        match dial(way, number) {
            Ok(id) => {
                counts.served(way, &begun);
                // What else serves it meanwhile knows nothing of its affinity, which waits.
                let keeps = way.service == STICKY && !counts.is_severed(way, &begun);
                let before = if keeps { kept.moved(way, id) } else { None };
                if let Some(before) = before {
                    counts.moved(way, before, id);
                }
            }
            Err(failed) => counts.failed(way, &begun, &failed),
        }
        thread::sleep(pause);
    }
}
