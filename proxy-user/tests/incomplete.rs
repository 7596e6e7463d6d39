//! An agent that takes over while its source cannot read everything.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use shunt::{
    engine::Engine,
    model::{Endpoint, EndpointSlice, Event, Family, ObjectName, Protocol, Service, ServicePort, SlicePort},
    writer::{Capacities, MemoryMaps},
};
use std::net::SocketAddr;
use support::{NODE, cluster_ip, offered, pod_ip};

const ROOMY: Capacities =
    Capacities { frontends: 64, services: 16, slots: 256, backends: 64, name_cells: 512, sockets: 16 };

fn service(number: u8, family: Family, port: u16) -> Event {
    let name = ObjectName::new("default", format!("svc-{number}"));
    let mut service = Service::cluster_ip(name, vec![cluster_ip(number, family)]);
    service.ports = vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port, node_port: None }];
    Event::ServiceApplied(service)
}

fn slice(number: u8, pods: &[(u8, bool)]) -> Event {
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

fn address(number: u8, family: Family, port: u16) -> (SocketAddr, Protocol) {
    (SocketAddr::new(cluster_ip(number, family), port), Protocol::Tcp)
}

#[test]
fn an_heir_that_cannot_read_everything_leaves_what_it_may_not_have_read() {
    let mut engine = Engine::new(NODE, MemoryMaps::new(&ROOMY)).unwrap();
    for number in [0, 1] {
        engine.apply(service(number, Family::V4, 80));
        engine.apply(slice(number, &[(1, false)]));
    }
    engine.sync().unwrap();
    let before = offered(engine.writer());

    // Of the first Service only the slice is unreadable, of the second all; a third one is new.
    let mut heir = Engine::new(NODE, engine.writer().clone()).unwrap();
    heir.hold(true);
    for event in [service(0, Family::V4, 80), service(2, Family::V4, 80), slice(2, &[(2, false)])] {
        heir.apply(event);
    }
    heir.sync().unwrap();
    let mut during = offered(heir.writer());
    assert!(during.remove(&address(2, Family::V4, 80)).is_some());
    assert_eq!(during, before);
    assert!(!heir.is_pending());

    heir.hold(false);
    heir.sync().unwrap();
    let after = offered(heir.writer());
    assert_eq!(after.keys().collect::<Vec<_>>(), [&address(0, Family::V4, 80), &address(2, Family::V4, 80)]);
    assert!(after[&address(0, Family::V4, 80)].is_empty());
}
