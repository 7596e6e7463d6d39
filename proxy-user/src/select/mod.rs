//! The rules of Kubernetes as pure functions: which service ports a node programs, under which
//! frontends, and which endpoints each of its two sets holds; and which devices its packets pass. One file per rule set.

mod cluster_set;
mod devices;
mod endpoints;
mod frontends;
mod health_check;
mod local_set;
mod node_ports;
mod packet_devices;
mod policy;
mod set_flags;
mod source_ports;
mod source_ranges;

pub use cluster_set::{ClusterSet, Topology};
pub use devices::{ChosenDevice, select_devices};
pub use endpoints::{UsableEndpoint, select_endpoints};
pub use frontends::{FrontendRules, cluster_ip, select_frontends};
pub use health_check::{HealthCheck, select_health_check};
pub use local_set::LocalSet;
pub use node_ports::{NodePortAddresses, ParseAddressesError, health_check_addresses, node_port_addresses};
pub use packet_devices::{Glob, PacketDevices, ParseGlobError};
pub use policy::{health_check_node_port, select_flags};
pub use set_flags::set_flags;
pub use source_ports::{FEWEST_PORTS, source_ports};
pub use source_ranges::select_source_ranges;
