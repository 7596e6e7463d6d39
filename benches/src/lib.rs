//! What benches and scenarios share: synthetic clusters, a dataplane over maps of its own in the
//! kernel, a clock that knows its own cost, and reports.

#![forbid(unsafe_code)]

pub mod clock;
pub mod cluster;
pub mod frame;
pub mod machine;
pub mod outside;
pub mod processor;
pub mod random;
pub mod report;
pub mod scenario;
pub mod stage;
pub mod table;
