//! What becomes of connected UDP sockets, in pods and on the node, when a Service's endpoints go. Needs root.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

#[cfg(feature = "agent")]
mod agent;
#[cfg(feature = "agent")]
#[path = "../command/mod.rs"]
mod command;
mod dataplane;
#[path = "../field/mod.rs"]
mod field;
mod pods;
