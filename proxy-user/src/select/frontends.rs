//! Which addresses and ports a service port answers.

use crate::{
    model::{Family, Service, ServicePort, ServiceType},
    table::Frontend,
    writer::FrontendKey,
};
use proxy_common::abi::{Address, FrontendFlags, Scope};
use std::net::IpAddr;

/// What an operator says about frontends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrontendRules {
    /// `externalIPs` are served (Kubernetes' gate AllowServiceExternalIPs, KEP-5707).
    pub external_ips: bool,
    /// `loadBalancerSourceRanges` bind pods and the node too, as in kube-proxy; else only clients outside of
    /// the cluster, as in Cilium.
    pub source_ranges_in_cluster: bool,
}

impl Default for FrontendRules {
    fn default() -> Self {
        Self { external_ips: true, source_ranges_in_cluster: true }
    }
}

/// The ClusterIP of a service in a family; `None` where the family ignores the whole Service.
///
/// A Service without ClusterIP in a family has no frontend of that family at all, whatever else it
/// lists. Headless and ExternalName services have none in any family, even if an address is left
/// over from another type; nor have services of another proxy.
#[must_use]
pub fn cluster_ip(service: &Service, family: Family) -> Option<IpAddr> {
    let ignored = service.headless || service.foreign_proxy || service.kind == ServiceType::ExternalName;
    service.cluster_ips.iter().copied().find(|ip| !ignored && Family::of(ip) == family)
}

/// The frontends of a service port in the family of its ClusterIP, each key once.
///
/// * ClusterIP and port; beside it one entry for the address alone, shared by all ports of the Service: with
///   it a dialled port that the Service does not serve is refused, as in kube-proxy's nftables mode, and
///   does not leave the node by the default route.
/// * The node port, on every address of the node where NodePorts answer, for the types that have one.
/// * Load-balancer addresses and `externalIPs` of the family, with the service port's own number, whatever
///   the type. An address that stands in both lists is a load-balancer address, so that its source ranges
///   hold.
pub fn select_frontends(
    service: &Service,
    port: &ServicePort,
    cluster_ip: IpAddr,
    rules: FrontendRules,
    frontends: &mut Vec<Frontend>,
) {
    frontends.clear();
    let (protocol, family) = (port.protocol as u8, Family::of(&cluster_ip));
    frontends.push(Frontend {
        key: FrontendKey::new(cluster_ip, port.port, protocol, Scope::Exact),
        kind: FrontendFlags::CLUSTER_IP,
    });
    frontends.push(Frontend {
        key: FrontendKey::new(cluster_ip, 0, 0, Scope::Address),
        kind: FrontendFlags::ADDRESS_ONLY,
    });
    if matches!(service.kind, ServiceType::NodePort | ServiceType::LoadBalancer)
        && let Some(number) = port.node_port
    {
        let any = Address::from(cluster_ip).unspecified().to_ip();
        frontends.push(Frontend {
            key: FrontendKey::new(any, number, protocol, Scope::Node),
            kind: FrontendFlags::NODE_PORT,
        });
    }
    let external = if rules.external_ips { service.external_ips.as_slice() } else { &[] };
    for (addresses, kind) in [
        (service.load_balancer_ips.as_slice(), FrontendFlags::LOAD_BALANCER),
        (external, FrontendFlags::EXTERNAL_IP),
    ] {
        for address in addresses.iter().filter(|address| Family::of(address) == family) {
            let key = FrontendKey::new(*address, port.port, protocol, Scope::Exact);
            if !frontends.iter().any(|known| known.key == key) {
                frontends.push(Frontend { key, kind });
            }
        }
    }
}

#[cfg(test)]
#[path = "frontends_tests.rs"]
mod tests;
