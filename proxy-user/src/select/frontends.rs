//! Which addresses and ports a service port answers.

use crate::{
    model::{Family, Service, ServicePort, ServiceType},
    table::Frontend,
    writer::FrontendKey,
};
use proxy_common::abi::{Address, FrontendFlags, FrontendKey4, FrontendKey6, Scope};
use std::net::IpAddr;

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

/// The frontends of a service port in the family of its ClusterIP.
///
/// Beside the ClusterIP and port stands one entry for the address alone, shared by all ports of the
/// Service: with it a dialled port that the Service does not serve is refused, as in kube-proxy's
/// nftables mode, and does not leave the node by the default route.
pub fn select_frontends(port: &ServicePort, cluster_ip: IpAddr, frontends: &mut Vec<Frontend>) {
    frontends.clear();
    frontends.push(Frontend {
        key: key(cluster_ip, port.port, port.protocol as u8, Scope::Exact),
        kind: FrontendFlags::CLUSTER_IP,
    });
    frontends
        .push(Frontend { key: key(cluster_ip, 0, 0, Scope::Address), kind: FrontendFlags::ADDRESS_ONLY });
}

/// A frontend key; `port` in host byte order.
fn key(address: IpAddr, port: u16, protocol: u8, scope: Scope) -> FrontendKey {
    let (address, port, scope) = (Address::from(address), port.to_be(), scope as u8);
    match address.v4_word() {
        Some(address) => FrontendKey::V4(FrontendKey4 { address, port, protocol, scope }),
        None => FrontendKey::V6(FrontendKey6 { address: address.words, port, protocol, scope }),
    }
}
