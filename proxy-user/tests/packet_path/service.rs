//! Services by number, with every kind of frontend in both families, and their endpoints.

use crate::{
    ask::{Dial, PROTOCOLS},
    backend::Backend,
};
use shunt::{
    lab::lan,
    model::{
        Conditions, EndpointSlice, Family, ObjectName, Protocol, Service, ServicePort, ServiceType,
        SlicePort, TrafficPolicy,
    },
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where ClusterIPs, load-balancer addresses and external addresses are.
pub const NETWORKS: [(&str, u8); 6] = [
    ("10.96.0.0", 24),
    ("10.97.0.0", 24),
    ("10.98.0.0", 24),
    ("fd00:96::", 64),
    ("fd00:97::", 64),
    ("fd00:98::", 64),
];

/// The service ports' number, and where endpoints listen.
pub const PORT: u16 = 80;
pub const ENDPOINT_PORT: u16 = 8080;

/// An endpoint: its addresses, node and conditions.
pub type Endpoint = (Vec<IpAddr>, Option<String>, Conditions);

/// A kind of frontend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    ClusterIp,
    NodePort,
    LoadBalancer,
    External,
}

pub const KINDS: [Kind; 4] = [Kind::ClusterIp, Kind::NodePort, Kind::LoadBalancer, Kind::External];

/// The frontends of outside: those that `externalTrafficPolicy` is about.
pub const EXTERNAL: [Kind; 3] = [Kind::NodePort, Kind::LoadBalancer, Kind::External];

/// A load balancer's Service with port 80 over TCP and UDP, in both families: ClusterIP 10.96.0.N, load-balancer
/// address 10.97.0.N, external address 10.98.0.N, and fd00:96::N and so on; NodePort 30000 + N.
pub fn service(number: u8) -> Service {
    let port = |name: &str, protocol| ServicePort {
        name: name.into(),
        protocol,
        port: PORT,
        node_port: Some(30_000 + u16::from(number)),
    };
    let both = |network| Family::BOTH.map(|family| address(network, number, family)).to_vec();
    Service {
        kind: ServiceType::LoadBalancer,
        ports: vec![port("tcp", Protocol::Tcp), port("udp", Protocol::Udp)],
        load_balancer_ips: both(97),
        external_ips: both(98),
        ..Service::cluster_ip(ObjectName::new("default", format!("service-{number}")), both(96))
    }
}

/// The same with `externalTrafficPolicy: Local`.
pub fn external_local(number: u8) -> Service {
    Service { external_policy: TrafficPolicy::Local, ..service(number) }
}

/// Where a client dials a kind of frontend of a Service. NodePorts are this node's.
pub fn frontend(number: u8, kind: Kind, family: Family, node: &lan::Node) -> SocketAddr {
    let network = match kind {
        Kind::ClusterIp => 96,
        Kind::LoadBalancer => 97,
        Kind::External => 98,
        Kind::NodePort => {
            let ip = match family {
                Family::V4 => node.ipv4().into(),
                Family::V6 => node.ipv6().into(),
            };
            return SocketAddr::new(ip, 30_000 + u16::from(number));
        }
    };
    SocketAddr::new(address(network, number, family), PORT)
}

/// These kinds of frontend of a Service, in both families and over both protocols.
pub fn dials(number: u8, kinds: &[Kind], node: &lan::Node) -> Vec<Dial> {
    let to = |kind| Family::BOTH.map(|family| frontend(number, kind, family, node));
    let to = kinds.iter().flat_map(|kind| to(*kind));
    to.flat_map(|to| PROTOCOLS.map(|protocol| (protocol, to))).collect()
}

/// 10.96.0.1 and fd00:96::1 for network 96, number 1.
pub fn address(network: u8, number: u8, family: Family) -> IpAddr {
    // Reads in hexadecimal as the IPv4 number does in decimal.
    let hex = |decimal: u8| u16::from_str_radix(&decimal.to_string(), 16).unwrap();
    match family {
        Family::V4 => Ipv4Addr::new(10, network, 0, number).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, hex(network), 0, 0, 0, 0, 0, hex(number)).into(),
    }
}

/// Endpoints that are ready.
pub fn ready(backends: &[&Backend]) -> Vec<Endpoint> {
    backends.iter().map(|backend| backend.endpoint(Conditions::default())).collect()
}

/// Endpoints that terminate and still serve.
pub fn terminating(backends: &[&Backend]) -> Vec<Endpoint> {
    let conditions = Conditions { ready: false, serving: true, terminating: true };
    backends.iter().map(|backend| backend.endpoint(conditions)).collect()
}

/// A Service's slice of a family.
pub fn slice(service: &Service, family: Family, endpoints: &[Endpoint]) -> EndpointSlice {
    let ObjectName { namespace, name } = &service.name;
    let suffix = if family == Family::V4 { "v4" } else { "v6" };
    let ports = service.ports.iter().map(|port| SlicePort {
        name: port.name.clone(),
        protocol: port.protocol,
        port: ENDPOINT_PORT,
    });
    let listed = endpoints.iter().flat_map(|(ips, node, conditions)| {
        ips.iter().filter(move |ip| Family::of(ip) == family).map(move |ip| shunt::model::Endpoint {
            node: node.as_deref().map(Into::into),
            conditions: *conditions,
            ..shunt::model::Endpoint::ready(*ip)
        })
    });
    EndpointSlice {
        name: ObjectName::new(namespace.clone(), format!("{name}-{suffix}")),
        service: name.clone(),
        family,
        ports: ports.collect(),
        endpoints: listed.collect(),
    }
}
