//! What becomes of connections while the agent, its pins, its attachments or its machine fail: real agents over real
//! kernel maps, with clients that connect all the time, and streams and flows that were there before.
//!
//! ```text
//!  client outside ──packets──▶ node-1 (Shunt) ──▶ pods on node-1 and node-2
//!  pod "inside"   ──sockets──▶    ▲
//!                                 └─ the fault
//! ```
//! `cargo test --test faults` has a small run of each. SHUNT_FULL_FAULTS=1 makes more than a million connections over all
//! of them, which takes a quiet machine, and writes `results.json`; docs/reliability.md has its table from there. Needs
//! root; says why it did not run elsewhere, and fails instead if SHUNT_REQUIRE_LAB is set.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod agent;
mod attached;
mod away;
mod backend;
mod churn;
mod cluster;
#[path = "../command/mod.rs"]
mod command;
mod count;
mod dial;
mod grown;
mod killed;
mod load;
mod look;
mod machine;
mod outcome;
mod pins;
mod restarted;
mod scale;
mod sessions;
mod stage;
mod table;
mod upgraded;

use std::{
    thread,
    time::{Duration, Instant},
};

/// The longest that anything takes that is to happen soon, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(30);

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, done: impl FnMut() -> bool) {
    wait_within(SOON, what, done);
}

/// The same with more patience.
#[track_caller]
fn wait_within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
