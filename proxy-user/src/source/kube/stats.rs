//! Counters of the source, for metrics.

use super::kind::Kind;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// What a request asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verb {
    /// A list, one page of it, or a watch that begins with a list.
    List,
    /// A watch from a resource version.
    Watch,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::List, Self::Watch];

    /// Its name, as RBAC has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

/// What came of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Outcome {
    /// Status 2xx.
    Accepted,
    /// 401 or 403.
    Denied,
    /// 410: the resource version is too old.
    Expired,
    /// 429.
    TooMany,
    /// Another status below 500.
    Refused,
    /// A status of 500 and more.
    ServerError,
    /// No answer: no connection, or none in time.
    NoAnswer,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Accepted,
        Self::Denied,
        Self::Expired,
        Self::TooMany,
        Self::Refused,
        Self::ServerError,
        Self::NoAnswer,
    ];

    /// Its name, as a label of metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::TooMany => "too_many",
            Self::Refused => "refused",
            Self::ServerError => "server_error",
            Self::NoAnswer => "no_answer",
        }
    }

    /// That of a status code.
    pub(super) const fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Accepted,
            401 | 403 => Self::Denied,
            410 => Self::Expired,
            429 => Self::TooMany,
            500.. => Self::ServerError,
            _ => Self::Refused,
        }
    }
}

/// Counters that the source writes and anybody reads.
#[derive(Default, Debug)]
pub struct KubeStats {
    requests: [[AtomicU64; Outcome::ALL.len()]; Verb::ALL.len()],
    pub(super) reconnects: AtomicU64,
    pub(super) relists: AtomicU64,
    pub(super) failovers: AtomicU64,
    held_back: [AtomicU64; Kind::ALL.len()],
    pub(super) refused_objects: AtomicU64,
    pub(super) bytes: AtomicU64,
    last_contact: Mutex<Option<Instant>>,
}

/// [`KubeStats`] at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KubeSnapshot {
    /// Requests by what was asked and what came of it; every combination is there.
    pub requests: Vec<(Verb, Outcome, u64)>,
    /// Connections that were begun anew after one that failed.
    pub reconnects: u64,
    /// Lists begun after the first complete one.
    pub relists: u64,
    /// Changes to another API server.
    pub failovers: u64,
    /// Objects whose deletion is held back now.
    pub held_back: u64,
    /// Objects that could not be read.
    pub refused_objects: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// When the server was last heard, by the monotonic clock.
    pub last_contact: Option<Instant>,
}

impl KubeStats {
    /// The counters as they are now.
    #[must_use]
    pub fn snapshot(&self) -> KubeSnapshot {
        let every = Verb::ALL.into_iter().flat_map(|verb| Outcome::ALL.map(|outcome| (verb, outcome)));
        KubeSnapshot {
            requests: every
                .map(|(verb, outcome)| (verb, outcome, self.counter(verb, outcome).load(Relaxed)))
                .collect(),
            reconnects: self.reconnects.load(Relaxed),
            relists: self.relists.load(Relaxed),
            failovers: self.failovers.load(Relaxed),
            held_back: self.held_back.iter().map(|count| count.load(Relaxed)).sum(),
            refused_objects: self.refused_objects.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            last_contact: *self.last_contact.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    pub(super) fn answered(&self, verb: Verb, outcome: Outcome) {
        self.counter(verb, outcome).fetch_add(1, Relaxed);
    }

    /// Bytes came.
    pub(super) fn heard(&self, bytes: usize, now: Instant) {
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
        *self.last_contact.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    pub(super) fn holds_back(&self, kind: Kind, objects: usize) {
        self.held_back[kind as usize].store(u64::try_from(objects).unwrap_or(u64::MAX), Relaxed);
    }

    fn counter(&self, verb: Verb, outcome: Outcome) -> &AtomicU64 {
        &self.requests[verb as usize][outcome as usize]
    }
}
