//! What is dialled: one Service for each protocol and family.

use crate::{
    model::{Family, Protocol, TrafficPolicy},
    view::{FrontendKind, PortView},
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// More endpoints are not worth as many addresses.
const MOST: usize = 64;

/// A service port to be dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// `namespace/name:port`.
    pub name: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    pub frontend: SocketAddr,
    /// Where a pod of this node may come out.
    pub endpoints: Vec<SocketAddr>,
}

/// For each of TCP and UDP and each family the service port with the fewest endpoints, of those that a pod reaches.
pub fn targets(ports: &[PortView]) -> Vec<Target> {
    let all = all(ports);
    let mut chosen = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        for family in Family::BOTH {
            let fits =
                |target: &&Target| target.protocol == protocol && Family::of(&target.frontend.ip()) == family;
            chosen.extend(all.iter().filter(fits).min_by_key(|target| target.endpoints.len()).cloned());
        }
    }
    chosen
}

/// Every service port that can be dialled.
pub fn all(ports: &[PortView]) -> Vec<Target> {
    ports.iter().filter_map(target).collect()
}

fn target(port: &PortView) -> Option<Target> {
    let id = port.id.as_ref().filter(|id| id.protocol != Protocol::Sctp)?;
    let frontend = port.frontends.iter().find(|frontend| frontend.kind == FrontendKind::ClusterIp)?;
    let endpoints = match port.internal_policy {
        TrafficPolicy::Cluster => &port.cluster,
        TrafficPolicy::Local => &port.local,
    };
    let is_some = (1..=MOST).contains(&endpoints.len());
    let separator = if id.port.is_empty() { "" } else { ":" };
    is_some.then_some(Target {
        name: format!("{}{separator}{}", id.service, id.port),
        protocol: id.protocol,
        frontend: SocketAddr::new(frontend.address?, frontend.port),
        endpoints: endpoints.clone(),
    })
}

/// Every endpoint's address, with the bits of its family.
pub fn addresses(targets: &[Target]) -> BTreeSet<(IpAddr, u8)> {
    let all = targets.iter().flat_map(|target| &target.endpoints).map(SocketAddr::ip);
    // 127.0.0.1 and ::1 are there.
    let others = all.filter(|address| !address.is_loopback());
    others.map(|address| (address, if address.is_ipv4() { 32 } else { 128 })).collect()
}
