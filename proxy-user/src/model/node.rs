//! This node.

use super::Family;
use ipnet::IpNet;
use smol_str::SmolStr;
use std::net::IpAddr;

/// The Node object of the node that is programmed.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Node {
    /// `metadata.name`.
    pub name: SmolStr,
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<SmolStr>,
    /// `status.addresses` of type InternalIP, then those of type ExternalIP, each in their order: the
    /// first of each family is the primary one.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<IpNet>,
    /// It is being deleted, or the cluster's autoscaler is about to: load balancers should go elsewhere.
    pub leaving: bool,
}

impl Node {
    /// The first address of a family.
    #[must_use]
    pub fn primary(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| Family::of(address) == family)
    }
}
