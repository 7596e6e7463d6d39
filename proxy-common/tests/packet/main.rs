//! The packet path, as the programs run it: packets in, packets out, over maps and a network in memory. What comes
//! out is read by etherparse, which verifies every checksum.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod errors;
#[path = "../datapath/fake.rs"]
#[expect(dead_code, reason = "shared with the datapath's tests")]
mod fake;
mod flows;
mod fragments;
mod frame;
mod handover;
mod headers;
mod hostile;
mod lab;
mod lifetimes;
mod mutated;
mod net;
mod policy;
mod ports;
mod read;
mod refusals;
mod run;
mod seeds;
mod sound;
mod text;
mod ways;
mod wire;
mod world;
