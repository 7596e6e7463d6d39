//! Objects of the Kubernetes API with the fields that a service proxy reads, and no others: a tenth of an object as a
//! cluster sends it, with its managed fields and references. Texts are borrowed from what was read.
//!
//! Reading a slice of 100 endpoints (26 KB) takes a third of the time that the full type takes, and ten allocations
//! instead of 855 (measured in November 2026: 68 µs against 207 µs).
//!
//! The same objects come out of JSON (`serde`) and out of the full types of `k8s-openapi` (`From`).

mod full;
mod metadata;
mod node;
mod service;
mod slice;
mod text;

pub use metadata::Metadata;
pub(super) use node::NodeSpec;
pub use node::{Node, ServiceCidr};
pub use service::Service;
pub(super) use service::{ServiceSpec, ServiceStatus};
pub use slice::EndpointSlice;
pub(super) use slice::{Endpoint, EndpointConditions, EndpointPort, Hint};
pub use text::Text;
