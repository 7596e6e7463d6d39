//! How much of it: a small run in every test run, and the full one.

use std::{env, time::Duration};

/// How much a run makes.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Connections of one fault, at least.
    pub connections: u64,
    /// How often each fault happens.
    pub rounds: u32,
    /// How often an agent is killed at a random moment.
    pub kills: u32,
    /// What a thread of a client waits between two connections. A small run leaves the machine to others.
    pub pause: Duration,
    /// How long a backend that is listed no more still serves, as `terminationGracePeriodSeconds` has it.
    pub grace: Duration,
    /// TCP streams and UDP flows of each client that are open before the fault, per address.
    pub sessions: usize,
}

const SMALL: Scale = Scale {
    connections: 1_200,
    rounds: 1,
    kills: 12,
    pause: Duration::from_millis(2),
    grace: Duration::from_secs(4),
    sessions: 8,
};

const FULL: Scale = Scale {
    connections: 70_000,
    rounds: 5,
    kills: 100,
    pause: Duration::from_millis(1),
    grace: Duration::from_secs(10),
    sessions: 32,
};

impl Scale {
    /// Whether this is the full run.
    pub fn is_full() -> bool {
        env::var_os("SHUNT_FULL_FAULTS").is_some()
    }

    /// That of this run.
    pub fn of_this_run() -> Self {
        if Self::is_full() { FULL } else { SMALL }
    }
}
