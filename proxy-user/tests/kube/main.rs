//! Shunt on the nodes of a real cluster: etcd, kube-apiserver and the EndpointSlice controller in the laboratory, objects
//! made by kubectl, pods that really listen, and `shunt run` on the nodes. `cargo xtask kube-tools` finds or builds the
//! programs. Needs root; says why it did not run elsewhere, and fails instead if SHUNT_REQUIRE_LAB is set, or
//! SHUNT_REQUIRE_KUBE where only the programs are missing.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod agent;
mod bad_days;
#[path = "../command/mod.rs"]
mod command;
mod controller;
mod deploy;
mod events;
mod follows;
mod hints;
#[path = "../health_check_servers/http.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod http;
mod kube_proxy;
mod kubectl;
mod migrate;
mod outage;
mod pod;
#[path = "../status_servers/promtool.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod promtool;
mod stage;
mod status;
mod traffic;

use std::{
    thread,
    time::{Duration, Instant},
};

/// The longest that anything takes that is to happen soon, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(30);

/// Waits until two things are the same; shows both if they never are.
#[track_caller]
fn becomes<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, look: impl FnMut() -> T) {
    becomes_within(SOON, what, wanted, look);
}

/// The same with more patience.
#[track_caller]
fn becomes_within<T: PartialEq + std::fmt::Debug>(
    limit: Duration,
    what: &str,
    wanted: &T,
    mut look: impl FnMut() -> T,
) {
    let end = Instant::now() + limit;
    loop {
        let now = look();
        if now == *wanted {
            return;
        }
        assert!(Instant::now() < end, "{what}: it is {now:?} and never became {wanted:?}");
        thread::sleep(Duration::from_millis(50));
    }
}
