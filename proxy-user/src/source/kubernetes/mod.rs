//! From the Kubernetes API's types to [`crate::model`], as kube-proxy reads them (BEHAVIOUR.md,
//! section A). Pure and total: whatever an object holds, the answer is a model object (or none, where
//! a service proxy ignores the object) and the list of what was not taken as written. Knows neither
//! files nor the network, so that manifests and the API server share it.

mod address;
pub mod api;
mod converted;
mod node;
mod port;
mod service;
mod service_cidr;
mod slice;
mod text;

pub(super) use converted::name_of;
pub use converted::{Converted, ObjectId, Warning};
pub(super) use node::convert as convert_node;
pub use node::node;
pub(super) use service::convert as convert_service;
pub use service::service;
pub(super) use service_cidr::convert as convert_service_cidr;
pub use service_cidr::service_cidr;
pub(super) use slice::convert as convert_slice;
pub use slice::endpoint_slice;
pub(super) use text::{NAME_RULE, is_dns_name, printable};
