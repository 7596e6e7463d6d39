//! The packet path's tests again, each packet also through the programs in the kernel: BPF_PROG_TEST_RUN of `ingress`
//! and `egress` as the loader has loaded them, over the same tables, in a network namespace with the same routes. What
//! the kernel does must be what the functions do in memory: verdict, bytes, flows, counters.
//!
//! ```text
//! tests of proxy-common ──Lab::act──▶ run ──▶ functions, maps in memory ──┐
//!                                      └────▶ programs, maps of the kernel ┴─▶ compared
//! ```
//! Needs root; says why the kernel was not asked elsewhere, and fails instead if SHUNT_REQUIRE_LAB is set.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "lab")]

#[path = "../../../proxy-common/tests/packet/errors.rs"]
mod errors;
#[path = "../../../proxy-common/tests/datapath/fake.rs"]
#[expect(dead_code, reason = "shared with the datapath's tests")]
mod fake;
#[path = "../../../proxy-common/tests/packet/flows.rs"]
mod flows;
#[path = "../../../proxy-common/tests/packet/fragments.rs"]
mod fragments;
#[path = "../../../proxy-common/tests/packet/frame.rs"]
mod frame;
#[path = "../../../proxy-common/tests/packet/handover.rs"]
mod handover;
#[path = "../../../proxy-common/tests/packet/headers.rs"]
mod headers;
#[path = "../../../proxy-common/tests/packet/hostile.rs"]
mod hostile;
mod kept;
#[path = "../../../proxy-common/tests/packet/lab.rs"]
mod lab;
#[path = "../../../proxy-common/tests/packet/lifetimes.rs"]
mod lifetimes;
#[path = "../../../proxy-common/tests/packet/mutated.rs"]
mod mutated;
#[path = "../../../proxy-common/tests/packet/net.rs"]
mod net;
mod node;
#[path = "../../../proxy-common/tests/packet/policy.rs"]
mod policy;
#[path = "../../../proxy-common/tests/packet/ports.rs"]
mod ports;
#[path = "../../../proxy-common/tests/packet/read.rs"]
mod read;
#[path = "../../../proxy-common/tests/packet/refusals.rs"]
mod refusals;
mod run;
#[path = "../../../proxy-common/tests/packet/seeds.rs"]
mod seeds;
#[path = "../../../proxy-common/tests/packet/sound.rs"]
mod sound;
mod tables;
#[path = "../../../proxy-common/tests/packet/text.rs"]
mod text;
mod twin;
#[path = "../../../proxy-common/tests/packet/ways.rs"]
mod ways;
#[path = "../../../proxy-common/tests/packet/wire.rs"]
mod wire;
#[path = "../../../proxy-common/tests/packet/world.rs"]
mod world;
