//! Storms of changes: what is coalesced, what waits for what, and how much waits at most. Counted, not timed.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "the harness is a test as a whole, but no #[test] function")]

mod agent;
#[path = "../kube_source/api.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod api;
#[path = "../kube_source/client.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod client;
#[path = "../command/mod.rs"]
mod command;
mod engine;
mod frames;
#[path = "../kube_source/http.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod http;
#[path = "../kube_source/objects.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod objects;
mod server;
mod source;
