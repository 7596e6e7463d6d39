//! What an operator decides for a node, beside the cluster's objects.

use crate::select::{FrontendRules, NodePortAddresses};

/// Which frontends a node serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// The addresses of this node where NodePorts answer.
    pub node_ports: NodePortAddresses,
    /// Whether NodePorts answer on loopback addresses too, to clients on the node itself.
    pub localhost_node_ports: bool,
    /// Whether `externalIPs` are served (KEP-5707: any user who may make a Service could take over an
    /// address with them, CVE-2020-8554).
    pub external_ips: bool,
    /// Whether `loadBalancerSourceRanges` bind pods and the node too, as in kube-proxy. If not, they bind only
    /// clients outside of the cluster, as in Cilium, and sockets of this node are pointed at endpoints.
    pub source_ranges_in_cluster: bool,
}

impl Default for Rules {
    /// NodePorts on the primary addresses, as kube-proxy's nftables mode has it, and on localhost.
    fn default() -> Self {
        Self {
            node_ports: NodePortAddresses::default(),
            localhost_node_ports: true,
            external_ips: true,
            source_ranges_in_cluster: true,
        }
    }
}

impl Rules {
    pub(super) const fn frontends(&self) -> FrontendRules {
        FrontendRules {
            external_ips: self.external_ips,
            source_ranges_in_cluster: self.source_ranges_in_cluster,
        }
    }
}
