//! Maps that grow under traffic, and transitions that end at every step. The stage of packets is that of the tests in
//! packet_path/. Needs root; says why it did not run elsewhere, and fails instead if SHUNT_REQUIRE_LAB is set.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "lab")]
#![allow(dead_code, reason = "the modules of other tests have more than these use")]

#[path = "../packet_path/ask.rs"]
mod ask;
#[path = "../packet_path/backend.rs"]
mod backend;
#[path = "../packet_path/clean.rs"]
mod clean;
#[path = "../kernel_lab/mod.rs"]
mod kernel_lab;
#[path = "../packet_path/service.rs"]
mod service;
#[path = "../packet_path/stage.rs"]
mod stage;

mod island;
mod packets;
mod sizes;
mod sockets;
mod steps;
mod traffic;
mod versions;
