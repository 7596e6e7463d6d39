//! Services of one HTTP port, in few words: for tests that tell a story.

use super::{NODE, cluster_ip, pod_ip};
use shunt::{
    model::{Endpoint, EndpointSlice, Event, Family, ObjectName, Protocol, Service, ServicePort, SlicePort},
    writer::Capacities,
};
use std::net::SocketAddr;

/// Room for more than any of these tests programs.
pub const ROOMY: Capacities = Capacities {
    frontends: 64,
    services: 16,
    slots: 256,
    backends: 64,
    name_cells: 512,
    sockets: 16,
    affinities: 16,
    flows: 1_024,
    prefixes: 64,
};

pub fn service(number: u8, family: Family, port: u16) -> Event {
    let name = ObjectName::new("default", format!("svc-{number}"));
    let mut service = Service::cluster_ip(name, vec![cluster_ip(number, family)]);
    service.ports = vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port, node_port: None }];
    Event::ServiceApplied(service)
}

pub fn slice(number: u8, pods: &[(u8, bool)]) -> Event {
    let endpoint = |(pod, local): &(u8, bool)| Endpoint {
        node: local.then(|| NODE.into()),
        ..Endpoint::ready(pod_ip(*pod, Family::V4))
    };
    Event::SliceApplied(EndpointSlice {
        name: ObjectName::new("default", format!("slice-{number}")),
        service: format!("svc-{number}").into(),
        family: Family::V4,
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: pods.iter().map(endpoint).collect(),
    })
}

pub fn address(number: u8, family: Family, port: u16) -> (SocketAddr, Protocol) {
    (SocketAddr::new(cluster_ip(number, family), port), Protocol::Tcp)
}
