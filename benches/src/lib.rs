//! What benches and scenarios share: synthetic clusters, a dataplane over maps of its own in the
//! kernel, a clock that knows its own cost, and reports.

#![forbid(unsafe_code)]

pub mod api;
pub mod clock;
pub mod cluster;
pub mod footprint;
pub mod frame;
pub mod load;
pub mod machine;
pub mod nftables;
pub mod objects;
pub mod outside;
pub mod plane;
pub mod processor;
pub mod random;
pub mod report;
pub mod scenario;
pub mod stage;
pub mod table;
