//! What is counted while a fault happens.

use crate::dial::{Failed, Protocol, Way};
use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// When a connection was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Before,
    During,
    After,
}

const PHASES: [Phase; 3] = [Phase::Before, Phase::During, Phase::After];

/// Something that should have worked.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Since the load began.
    pub at: Duration,
    pub phase: Phase,
    /// What it had taken until it failed.
    pub took: Duration,
    pub what: String,
    pub error: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, phase, took, what, error } = self;
        write!(f, "{:.3} s ({phase:?}), after {took:.1?}: {what}: {error}", at.as_secs_f64())
    }
}

/// The counts of one fault.
#[derive(Debug)]
pub struct Counts {
    start: Instant,
    phase: AtomicUsize,
    tcp: [AtomicU64; 3],
    udp: [AtomicU64; 3],
    /// Questions that streams and flows had answered.
    asked: AtomicU64,
    pub streams: AtomicU64,
    pub flows: AtomicU64,
    slowest_micros: AtomicU64,
    failures: Mutex<Vec<Failure>>,
    broken: Mutex<Vec<Failure>>,
    moved: Mutex<Vec<Failure>>,
}

impl Counts {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            phase: AtomicUsize::new(0),
            tcp: Default::default(),
            udp: Default::default(),
            asked: AtomicU64::new(0),
            streams: AtomicU64::new(0),
            flows: AtomicU64::new(0),
            slowest_micros: AtomicU64::new(0),
            failures: Mutex::default(),
            broken: Mutex::default(),
            moved: Mutex::default(),
        }
    }

    pub fn phase(&self) -> Phase {
        PHASES[self.phase.load(Relaxed)]
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as usize, Relaxed);
    }

    /// A connection that was begun in a phase was served.
    pub fn served(&self, way: &Way, phase: Phase, took: Duration) {
        let by_phase = if way.protocol == Protocol::Tcp { &self.tcp } else { &self.udp };
        by_phase[phase as usize].fetch_add(1, Relaxed);
        self.slowest_micros.fetch_max(took.as_micros() as u64, Relaxed);
    }

    /// A connection failed.
    pub fn failed(&self, way: &Way, phase: Phase, began: Instant, failed: &Failed) {
        let failure = self.failure(phase, began, way.to_string(), failed);
        self.failures.lock().unwrap().push(failure);
    }

    /// A stream or a flow was answered.
    pub fn answered(&self) {
        self.asked.fetch_add(1, Relaxed);
    }

    /// A stream or a flow that was established broke.
    pub fn broke(&self, way: &Way, began: Instant, failed: &Failed) {
        let failure = self.failure(self.phase(), began, format!("established {way}"), failed);
        self.broken.lock().unwrap().push(failure);
    }

    /// A flow, or a client with session affinity, got to another backend.
    pub fn moved(&self, way: &Way, from: u64, to: u64) {
        let error = std::io::Error::other(format!("was with {from}, is with {to}"));
        let failed = Failed { call: "moved", error };
        let failure = self.failure(self.phase(), Instant::now(), way.to_string(), &failed);
        self.moved.lock().unwrap().push(failure);
    }

    fn failure(&self, phase: Phase, began: Instant, what: String, failed: &Failed) -> Failure {
        let (at, took) = (began.duration_since(self.start), began.elapsed());
        let error = format!("{}: {}", failed.call, failed.error);
        Failure { at, phase, took, what, error }
    }

    /// Connections that were served, by phase.
    pub fn connections(&self) -> [u64; 3] {
        [0, 1, 2].map(|phase| self.tcp[phase].load(Relaxed) + self.udp[phase].load(Relaxed))
    }

    /// Those of them over UDP: a socket, a question and its answer.
    pub fn exchanges(&self) -> u64 {
        self.udp.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Questions that streams and flows had answered.
    pub fn questions(&self) -> u64 {
        self.asked.load(Relaxed)
    }

    /// The connection that took longest, of those that were served.
    pub fn slowest(&self) -> Duration {
        Duration::from_micros(self.slowest_micros.load(Relaxed))
    }

    pub fn failures(&self) -> Vec<Failure> {
        self.failures.lock().unwrap().clone()
    }

    pub fn broken(&self) -> Vec<Failure> {
        self.broken.lock().unwrap().clone()
    }

    pub fn flows_moved(&self) -> Vec<Failure> {
        self.moved.lock().unwrap().clone()
    }
}
