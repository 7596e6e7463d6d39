//! What is counted while a fault happens.
//!
//! Some faults take away what a client comes by: a device is deleted, programs are detached. What such a client had under
//! way in that time, the gap, is counted apart: no backend could have served it.

use crate::dial::{Failed, Protocol, Way};
use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The first packet of a connection is repeated after a second.
const REPEATED: Duration = Duration::from_millis(900);

/// When a connection was begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Before,
    During,
    After,
}

const PHASES: [Phase; 3] = [Phase::Before, Phase::During, Phase::After];

/// A moment at which something began.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    phase: Phase,
    gap: u64,
    at: Instant,
}

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
    /// Connections that were served after their first packet was lost.
    slow: Mutex<Vec<String>>,
    /// Odd while there is a gap.
    gap: AtomicU64,
    unserved: AtomicU64,
    failures: Mutex<Vec<Failure>>,
    broken: Mutex<Vec<Failure>>,
    severed: Mutex<Vec<Failure>>,
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
            slow: Mutex::default(),
            gap: AtomicU64::new(0),
            unserved: AtomicU64::new(0),
            failures: Mutex::default(),
            broken: Mutex::default(),
            severed: Mutex::default(),
            moved: Mutex::default(),
        }
    }

    pub fn phase(&self) -> Phase {
        PHASES[self.phase.load(Relaxed)]
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as usize, Relaxed);
    }

    /// A gap begins or ends.
    pub fn set_gap(&self, is_open: bool) {
        let was = self.gap.fetch_add(1, Relaxed);
        assert_eq!(was % 2 == 1, !is_open, "gaps are one after the other");
    }

    /// Something begins.
    pub fn begin(&self) -> Begun {
        Begun { phase: self.phase(), gap: self.gap.load(Relaxed), at: Instant::now() }
    }

    /// Whether it was under way in a gap that concerns it.
    pub fn is_severed(&self, way: &Way, begun: &Begun) -> bool {
        way.severed && (begun.gap % 2 == 1 || self.gap.load(Relaxed) != begun.gap)
    }

    /// A connection was served.
    pub fn served(&self, way: &Way, begun: &Begun) {
        let by_phase = if way.protocol == Protocol::Tcp { &self.tcp } else { &self.udp };
        by_phase[begun.phase as usize].fetch_add(1, Relaxed);
        let took = begun.at.elapsed();
        if self.is_severed(way, begun) {
            return;
        }
        self.slowest_micros.fetch_max(took.as_micros() as u64, Relaxed);
        if took > REPEATED {
            let at = begun.at.duration_since(self.start).as_secs_f64();
            let slow = format!("{at:.3} s ({:?}), after {took:.2?}: {way}", begun.phase);
            self.slow.lock().unwrap().push(slow);
        }
    }

    /// A connection failed.
    pub fn failed(&self, way: &Way, begun: &Begun, failed: &Failed) {
        if self.is_severed(way, begun) {
            self.unserved.fetch_add(1, Relaxed);
            return;
        }
        let failure = self.failure(begun, way.to_string(), failed);
        self.failures.lock().unwrap().push(failure);
    }

    /// A stream or a flow was answered.
    pub fn answered(&self) {
        self.asked.fetch_add(1, Relaxed);
    }

    /// A stream or a flow that was established broke.
    pub fn broke(&self, way: &Way, begun: &Begun, failed: &Failed) {
        let failure = self.failure(begun, format!("established {way}"), failed);
        let list = if self.is_severed(way, begun) { &self.severed } else { &self.broken };
        list.lock().unwrap().push(failure);
    }

    /// A flow, or a client with session affinity, got to another backend.
    pub fn moved(&self, way: &Way, from: u64, to: u64) {
        let error = std::io::Error::other(format!("was with {from}, is with {to}"));
        let failed = Failed { call: "moved", error };
        let failure = self.failure(&self.begin(), way.to_string(), &failed);
        self.moved.lock().unwrap().push(failure);
    }

    fn failure(&self, begun: &Begun, what: String, failed: &Failed) -> Failure {
        let (at, took) = (begun.at.duration_since(self.start), begun.at.elapsed());
        let error = format!("{}: {}", failed.call, failed.error);
        Failure { at, phase: begun.phase, took, what, error }
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

    /// What went wrong first, and how much there is of it.
    pub fn summary(&self) -> String {
        let mut text = format!("{:?} connections", self.connections());
        for (what, list) in
            [("failed", self.failures()), ("broke", self.broken()), ("moved", self.flows_moved())]
        {
            text += &format!("; {} {what}", list.len());
            list.iter().take(5).for_each(|failure| text += &format!("\n  {failure}"));
        }
        text
    }

    /// Those that took so long that a packet must have been lost.
    pub fn slow(&self) -> Vec<String> {
        self.slow.lock().unwrap().clone()
    }

    pub fn failures(&self) -> Vec<Failure> {
        self.failures.lock().unwrap().clone()
    }

    /// Connections that failed, or were not made, in a gap.
    pub fn unserved(&self) -> u64 {
        self.unserved.load(Relaxed)
    }

    /// Streams and flows that broke in a gap.
    pub fn severed(&self) -> Vec<Failure> {
        self.severed.lock().unwrap().clone()
    }

    pub fn broken(&self) -> Vec<Failure> {
        self.broken.lock().unwrap().clone()
    }

    pub fn flows_moved(&self) -> Vec<Failure> {
        self.moved.lock().unwrap().clone()
    }
}
