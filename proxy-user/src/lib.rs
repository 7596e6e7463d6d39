//! Shunt keeps the eBPF maps of a node true to the cluster's Services and EndpointSlices.
//!
//! ```text
//! source ──event──▶ cluster ──dirty service──▶ select ──endpoint sets──▶ table ──plan──▶ kernel
//! ```

pub mod model;
pub mod writer;
