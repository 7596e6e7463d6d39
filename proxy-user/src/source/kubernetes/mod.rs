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

#[cfg(feature = "kube")]
pub(super) use converted::name_of;
pub use converted::{Converted, ObjectId, Warning};
pub use node::node;
pub use service::service;
pub use service_cidr::service_cidr;
pub use slice::endpoint_slice;
pub(super) use text::printable;
#[cfg(feature = "manifests")]
pub(super) use text::{NAME_RULE, is_dns_name};
#[cfg(feature = "kube")]
pub(super) use {
    node::convert as convert_node, service::convert as convert_service,
    service_cidr::convert as convert_service_cidr, slice::convert as convert_slice,
};
