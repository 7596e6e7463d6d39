//! Traffic that reaches a node as packets, from one end to the other: clients outside, pods and the node itself, real
//! programs where they tell more, on the laboratory's local network with Shunt on its first node. Each test says who
//! answered and whom the server saw, and ends in [`stage::Stage::assert_nothing_left`]. Needs root; says why it did not
//! run elsewhere, and fails instead if SHUNT_REQUIRE_LAB is set.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "lab")]

mod affinity;
mod ask;
mod backend;
mod behind;
mod changes;
mod clean;
mod external_policy;
mod frame;
mod outside;
mod own;
mod pods;
mod programs;
mod refused;
mod service;
mod source_ranges;
mod stage;
mod transfer;
mod untouched;
