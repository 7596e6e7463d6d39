//! What the cluster wants, in plain Rust: the objects that every source (manifests, the API server,
//! an embedder) hands to [`crate::cluster`]. Only the fields that a service proxy needs.

mod device;
mod event;
mod name;
mod node;
mod service;
mod service_cidr;
mod slice;

pub use device::Device;
pub use event::Event;
pub use name::{ObjectName, PortId};
pub use node::Node;
pub use service::{Protocol, Service, ServicePort, ServiceType, TrafficPolicy};
pub use service_cidr::ServiceCidr;
pub use slice::{Conditions, Endpoint, EndpointSlice, Family, SlicePort};
