//! What links do to the packet path, and what it remembers: path MTUs, ICMP errors, fragments, headers that sockets
//! rarely send, tunnels, and the flow table under every strain. The stage is that of the tests beside this one, with
//! tcx and with clsact. Needs root; says why it did not run elsewhere, and fails instead if SHUNT_REQUIRE_LAB is set.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "lab")]
#![allow(dead_code, reason = "the modules of the tests beside this one have more than these use")]

#[path = "../packet_path/ask.rs"]
mod ask;
#[path = "../packet_path/backend.rs"]
mod backend;
#[path = "../packet_path/clean.rs"]
mod clean;
#[path = "../packet_path/service.rs"]
mod service;
#[path = "../packet_path/stage.rs"]
mod stage;

mod churn;
mod errors;
mod flows;
mod fragments;
mod headers;
mod path_mtu;
mod raw;
mod states;
mod strain;
mod tunnel;
mod wire;
