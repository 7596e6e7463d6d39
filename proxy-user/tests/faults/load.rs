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
pub const WEB: u8 = 0;
pub const STICKY: u8 = 1;

/// A client: where it is, and what it dials.
#[derive(Clone, Debug)]
pub struct Client {
    pub name: &'static str,
    pub place: Place,
    /// Addresses of the Service without session affinity, and of the one with.
    pub web: Vec<SocketAddr>,
    pub sticky: Vec<SocketAddr>,
    /// Its addresses, each a client of its own for session affinity; none for the one that the kernel picks.
    pub own: Vec<IpAddr>,
}

impl Client {
    /// New connections: each address over TCP twice and over UDP once, and one client with session affinity.
    fn connections(&self) -> Vec<Way> {
        let way = |protocol| move |to: &SocketAddr| Way { protocol, to: *to, from: None, service: WEB };
        let tcp = || self.web.iter().map(way(Protocol::Tcp));
        let plain = tcp().chain(self.web.iter().map(way(Protocol::Udp))).chain(tcp());
        let mut ways = Vec::new();
        // The clients with affinity are between all the others, in turn.
        for (round, sticky) in self.affine().into_iter().enumerate() {
            ways.extend(plain.clone().map(|way| Way { from: None, ..way }));
            ways.insert(ways.len() - round % 3, sticky);
        }
        ways
    }

    /// Connections with session affinity.
    pub fn affine(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        for to in &self.sticky {
            let own = self.own.iter().filter(|ip| ip.is_ipv4() == to.is_ipv4());
            let from: Vec<_> = own.map(|ip| Some(SocketAddr::new(*ip, 0))).collect();
            let from = if from.is_empty() { vec![None] } else { from };
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                ways.extend(from.iter().map(|from| Way { protocol, to: *to, from: *from, service: STICKY }));
            }
        }
        ways
    }
}

/// The clients at work. Dropping it ends them.
pub struct Load {
    pub counts: Arc<Counts>,
    kept: Arc<Kept>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    scale: Scale,
}

/// The backend that each client with session affinity was given first.
#[derive(Debug, Default)]
pub struct Kept(Mutex<HashMap<Way, Id>>);

impl Kept {
    /// Whom a client was with before, if it is with another one now.
    fn moved(&self, way: &Way, id: Id) -> Option<Id> {
        let before = self.0.lock().unwrap().insert(*way, id);
        before.filter(|before| *before != id)
    }
}

impl Load {
    /// Starts them, with streams and flows opened first.
    pub fn start(clients: &[Client], scale: Scale) -> Self {
        let (counts, kept) = (Arc::new(Counts::new()), Arc::new(Kept::default()));
        let mut load = Self { counts, kept, stop: Arc::default(), threads: Vec::new(), scale };
        for client in clients {
            load.join(client);
        }
        load
    }

    /// One more client.
    pub fn join(&mut self, client: &Client) {
        let (opened, ready) = mpsc::channel();
        let (sessions, kept) = (self.scale.sessions, Arc::clone(&self.kept));
        self.spawn(client, move |client, counts, stop| {
            // One after the other: of two first ones at the same moment, affinity is with the later.
            for (way, number) in client.affine().iter().zip(1..) {
                let id = dial(way, number).unwrap_or_else(|failed| panic!("{way}: {failed:?}"));
                assert_eq!(kept.moved(way, id), None);
            }
            sessions::hold(client, sessions, counts, stop, &opened);
        });
        ready.recv().unwrap();
        for worker in 0..WORKERS {
            let (pause, kept) = (self.scale.pause, Arc::clone(&self.kept));
            self.spawn(client, move |client, counts, stop| {
                connect(client, worker << 48, pause, &kept, counts, stop);
            });
        }
    }

    fn spawn(
        &mut self,
        client: &Client,
        work: impl FnOnce(&Client, &Counts, &AtomicBool) + Send + 'static,
    ) {
        let (counts, stop, client) = (Arc::clone(&self.counts), Arc::clone(&self.stop), client.clone());
        let run = move || client.place.clone().run(|| work(&client, &counts, &stop)).unwrap();
        self.threads.push(thread::spawn(run));
    }

    /// Waits until that many more connections were served.
    pub fn serve(&self, more: u64) {
        let served = || self.counts.connections().iter().sum::<u64>();
        let (wanted, end) = (served() + more, Instant::now() + Duration::from_secs(300));
        while served() < wanted {
            assert!(Instant::now() < end && self.is_alive(), "the clients have stopped: {:?}", self.counts);
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn is_alive(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    /// What is counted from now on belongs to another phase.
    pub fn enter(&self, phase: Phase) {
        self.counts.enter(phase);
    }

    /// Ends the clients: each finishes what it is at.
    pub fn end(&mut self) {
        self.stop.store(true, Relaxed);
        let ended: Vec<_> = self.threads.drain(..).map(JoinHandle::join).collect();
        assert!(thread::panicking() || ended.iter().all(Result::is_ok), "a client panicked");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
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
        let (phase, began) = (counts.phase(), Instant::now());
        match dial(way, number) {
            Ok(id) => {
                counts.served(way, phase, began.elapsed());
                let before = if way.service == STICKY { kept.moved(way, id) } else { None };
                if let Some(before) = before {
                    counts.moved(way, before, id);
                }
            }
            Err(failed) => counts.failed(way, phase, began, &failed),
        }
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
}
