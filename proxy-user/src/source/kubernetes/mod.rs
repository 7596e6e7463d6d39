//! From the Kubernetes API's types to [`crate::model`], as kube-proxy reads them (BEHAVIOUR.md,
//! section A). Pure and total: whatever an object holds, the answer is a model object (or none, where
//! a service proxy ignores the object) and the list of what was not taken as written. Knows neither
//! files nor the network, so that manifests and the API server share it.

mod address;
mod converted;
mod node;
mod port;
mod service;
mod service_cidr;
mod slice;
mod text;

pub use converted::{Converted, ObjectId, Warning};
pub use node::node;
pub use service::service;
pub use service_cidr::service_cidr;
pub use slice::endpoint_slice;
pub(super) use text::{NAME_RULE, is_dns_name, printable};
