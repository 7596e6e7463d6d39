//! A ServiceCIDR.

use ipnet::IpNet;
use smol_str::SmolStr;

/// Where ClusterIPs come from (networking.k8s.io/v1): an address in it that no Service has is nobody's.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServiceCidr {
    /// `metadata.name`.
    pub name: SmolStr,
    /// `spec.cidrs`, at most one of each family.
    pub cidrs: Vec<IpNet>,
}
