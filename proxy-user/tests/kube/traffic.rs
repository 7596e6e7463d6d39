//! Clients: who answers, and whether anybody ever does not.

use shunt::lab::{Place, tcp_ask, udp_ask_connected};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many connections find each of a few backends, but for once in many thousand runs, which ask again.
const MANY: usize = 32;

/// Between two connections of one client.
const PAUSE: Duration = Duration::from_millis(4);

/// What clients get by connecting again and again: names of pods, or errors.
pub type Answers = BTreeSet<String>;

/// What a client gets that asks many times.
pub fn answers(place: &Place, to: SocketAddr) -> Answers {
    let ask = || tcp_ask(to, PATIENCE).map_or_else(|error| error.kind().to_string(), |reply| reply.name);
    place.run(|| (0..MANY).map(|_| ask()).collect()).unwrap()
}

/// The same by UDP.
pub fn answers_by_udp(place: &Place, to: SocketAddr) -> Answers {
    let ask =
        || udp_ask_connected(to, PATIENCE).map_or_else(|error| error.kind().to_string(), |reply| reply.name);
    place.run(|| (0..MANY).map(|_| ask()).collect()).unwrap()
}

/// What clients get who are refused.
pub fn refused() -> Answers {
    [std::io::ErrorKind::ConnectionRefused.to_string()].into()
}

/// Names.
pub fn names<const N: usize>(names: [&str; N]) -> Answers {
    names.map(str::to_owned).into()
}

/// A client that connects all the time.
pub struct Traffic {
    what: String,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Count>,
}

/// What happened to its connections.
#[derive(Debug, Default)]
pub struct Count {
    /// By the name of who answered.
    pub answered: BTreeMap<String, u64>,
    /// Milliseconds since the start, and the error.
    pub failed: Vec<(u128, String)>,
}

impl Traffic {
    /// Starts a client in a place.
    pub fn start(what: &str, place: Place, to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let connect = move || {
            let (start, mut count) = (Instant::now(), Count::default());
            while !until.load(Ordering::Relaxed) {
                match tcp_ask(to, PATIENCE) {
                    Ok(reply) => *count.answered.entry(reply.name).or_default() += 1,
                    Err(error) => count.failed.push((start.elapsed().as_millis(), error.to_string())),
                }
                thread::sleep(PAUSE);
            }
            count
        };
        let thread = thread::spawn(move || place.run(connect).unwrap());
        Self { what: format!("{what} to {to}"), stop, thread }
    }

    /// Ends it. Every one of its connections must have been answered.
    pub fn assert_served(self) -> Count {
        self.stop.store(true, Ordering::Relaxed);
        let count = self.thread.join().unwrap();
        let connections: u64 = count.answered.values().sum();
        let failed = &count.failed;
        assert!(failed.is_empty(), "{}: {} of {connections} failed: {failed:?}", self.what, failed.len());
        assert!(connections > 0, "{}: no connection", self.what);
        count
    }
}
