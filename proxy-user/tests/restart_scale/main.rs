//! An agent that starts over what a former one left: which system calls and stores it makes, counted, not timed.
//! `SHUNT_RESTART_SCALE=full` takes 10,000 Services and 100,000 endpoints.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "the harness is a test as a whole, but no #[test] function")]

mod agent;
#[path = "../kube_source/api.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod api;
mod changes;
mod cluster;
#[path = "../command/mod.rs"]
mod command;
mod counted;
mod engine;
#[path = "../kube_source/http.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod http;
#[path = "../kube_source/objects.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod objects;
mod traced;

use cluster::Size;

/// How large the cluster is.
fn size() -> Size {
    match std::env::var("SHUNT_RESTART_SCALE").as_deref() {
        Ok("full") => Size { services: 10_000, endpoints: 100_000 },
        Ok(other) => panic!("SHUNT_RESTART_SCALE={other}: only \"full\" means something"),
        Err(_) => Size { services: 2_000, endpoints: 20_000 },
    }
}
