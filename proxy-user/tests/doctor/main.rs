//! `shunt doctor` on a healthy node and on broken ones, each made in a lab of its own.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod agents;
mod api_server;
mod attachments;
#[path = "../command/mod.rs"]
mod command;
mod fake;
#[path = "../golden/mod.rs"]
mod golden;
mod healthy;
mod maps;
mod node;
mod outline;
mod pins;
mod scene;
