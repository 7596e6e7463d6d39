//! The rules of Kubernetes as pure functions: which service ports a node programs, under which
//! frontends, and which endpoints each of its two sets holds. One file per rule set.

mod cluster_set;
mod endpoints;
mod frontends;
mod health_check;
mod local_set;
mod node_ports;
mod policy;
mod set_flags;
mod source_ranges;

pub use cluster_set::{ClusterSet, Topology};
pub use endpoints::{UsableEndpoint, select_endpoints};
pub use frontends::{FrontendRules, cluster_ip, select_frontends};
pub use health_check::{HealthCheck, select_health_check};
pub use local_set::LocalSet;
pub use node_ports::{NodePortAddresses, ParseAddressesError, health_check_addresses, node_port_addresses};
pub use policy::{health_check_node_port, select_flags};
pub use set_flags::set_flags;
pub use source_ranges::select_source_ranges;
