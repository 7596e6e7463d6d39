//! The decisions of the datapath, as the programs make them: the same functions over tables in memory.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod affinity;
mod bind;
mod fake;
mod lookup;
mod policy;
mod socket;
mod source_ranges;
mod trace;
mod udp;
