//! Shunt keeps the eBPF maps of a node true to the cluster's Services and EndpointSlices.
//!
//! ```text
//! source ──event──▶ cluster ──dirty service──▶ select ──endpoint sets──▶ table ──plan──▶ kernel
//! ```

#[cfg(feature = "agent")]
pub mod cli;
pub mod cluster;
pub mod dataplane;
#[cfg(feature = "agent")]
mod demo;
pub mod engine;
pub mod explain;
pub mod kernel;
#[cfg(feature = "lab")]
pub mod lab;
pub mod model;
#[cfg(feature = "kube")]
pub mod recorder;
pub mod select;
#[cfg(feature = "servers")]
pub mod server;
#[cfg(any(feature = "manifests", feature = "kube"))]
pub mod source;
pub mod table;
pub mod view;
pub mod writer;
