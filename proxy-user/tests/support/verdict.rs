//! What the model makes of a new connection, to compare with what the datapath decides.

use super::{Kind, Model, Owner, PortModel};
use proxy_common::datapath::{Origin, Reason};
use shunt::model::{Family, Protocol};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// A client and what it dials.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    pub origin: Origin,
    pub source: IpAddr,
    pub destination: SocketAddr,
    pub protocol: Protocol,
}

/// What should become of a probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expected {
    Pass,
    Reject(Reason),
    Drop(Reason),
    Forward(BTreeSet<SocketAddr>),
}

/// Every client before everything that the small world may serve, and what it never does.
pub fn probes() -> Vec<Probe> {
    let clients = [
        (Origin::Pod, ["10.244.0.99", "fd00:244::99"]),
        (Origin::Node, ["192.168.77.1", "fd00:77::1"]),
        (Origin::Outside, ["198.51.100.7", "2001:db8:9::7"]),
        (Origin::Outside, ["203.0.113.2", "2001:db8::1"]),
    ];
    let addresses = [
        "10.96.0.10",
        "10.96.0.11",
        "10.96.0.12",
        "10.96.0.13",
        "10.96.0.200",
        "fd00:96::a",
        "fd00:96::b",
        "fd00:96::ff",
        "203.0.113.1",
        "203.0.113.2",
        "203.0.113.3",
        "2001:db8::1",
        "2001:db8::2",
        "192.168.77.1",
        "192.168.77.2",
        "192.168.77.3",
        "fd00:77::1",
        "127.0.0.1",
        "127.0.0.9",
        "::1",
    ];
    let ports = [80, 53, 30080, 30180, 30053, 9];
    let mut probes = Vec::new();
    for (origin, sources) in clients {
        for address in addresses.map(|text| text.parse::<IpAddr>().unwrap()) {
            let source = sources[usize::from(address.is_ipv6())].parse().unwrap();
            for port in ports {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    let destination = SocketAddr::new(address, port);
                    probes.push(Probe { origin, source, destination, protocol });
                }
            }
        }
    }
    probes
}

impl Model {
    pub fn decide(&self, probe: &Probe) -> Expected {
        let address = probe.destination.ip();
        let (family, port) = (Family::of(&address), probe.destination.port());
        let node_port = || self.owners.get(&(family, None, port, probe.protocol));
        if address.is_loopback() {
            // Loopback is this node's only to the node itself.
            let owner = node_port().filter(|_| probe.origin == Origin::Node);
            return owner.map_or(Expected::Pass, |owner| self.admit(probe, owner));
        }
        if let Some(owner) = self.owners.get(&(family, Some(address), port, probe.protocol)) {
            return self.admit(probe, owner);
        }
        if self.cluster_ips.contains(&address) {
            return Expected::Reject(Reason::UnknownPort);
        }
        if self.node_addresses.contains(&address) {
            return node_port().map_or(Expected::Pass, |owner| self.admit(probe, owner));
        }
        if self.service_cidrs.iter().any(|cidr| cidr.contains(&address)) {
            return Expected::Drop(Reason::Unallocated);
        }
        Expected::Pass
    }

    fn admit(&self, probe: &Probe, (kind, owner): &(Kind, Owner)) -> Expected {
        let port = &self.ports[owner];
        if *kind == Kind::LoadBalancer && !port.admits(probe.source) {
            return Expected::Drop(Reason::SourceNotAllowed);
        }
        // A ClusterIP heeds the internal policy, everything else the external one; pods and the node reach
        // any endpoint of an external address, as they would by way of the load balancer.
        let local = match kind {
            Kind::ClusterIp => port.internal_local,
            _ => port.external_local && probe.origin == Origin::Outside,
        };
        let set = if local { &port.local } else { &port.cluster };
        if !set.is_empty() {
            Expected::Forward(set.clone())
        } else if port.usable.is_empty() {
            Expected::Reject(Reason::NoEndpoint)
        } else {
            Expected::Drop(Reason::NoLocalEndpoint)
        }
    }
}

impl PortModel {
    /// Whether a client may use the load-balancer addresses.
    fn admits(&self, source: IpAddr) -> bool {
        let is_in = |range: &String| range.parse::<ipnet::IpNet>().unwrap().contains(&source);
        self.source_ranges.is_empty()
            || self.source_ranges.iter().any(is_in)
            || self.own_addresses.contains(&source)
    }
}
