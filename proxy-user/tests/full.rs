//! Full maps: what did not fit is programmed once there is room, and nothing else is lost meanwhile.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use shunt::{
    engine::Engine,
    model::{Endpoint, EndpointSlice, Event, Family, ObjectName, Protocol, Service, ServicePort, SlicePort},
    writer::{Capacities, FaultyWriter, MemoryMaps},
};
use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
    rc::Rc,
};
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
fn what_waits_for_room_is_tried_again_after_a_sync_that_made_room_and_then_failed() {
    let fates = Rc::new(RefCell::new(Vec::new()));
    let fate = {
        let fates = Rc::clone(&fates);
        move || fates.borrow_mut().pop().flatten()
    };
    let capacities = Capacities { frontends: 2, ..ROOMY };
    let writer = FaultyWriter { inner: MemoryMaps::new(&capacities), fate };
    let mut engine = Engine::new(NODE, writer).unwrap();
    engine.apply(service(0, Family::V4, 80));
    engine.sync().unwrap();

    // The old port must go before there is room for the new one; the delete succeeds, and then the put
    // of another service fails.
    engine.apply(service(0, Family::V4, 81));
    engine.apply(service(1, Family::V6, 80));
    fates.borrow_mut().extend([Some(0), None]);
    engine.sync().unwrap_err();
    while engine.is_pending() {
        engine.sync().unwrap();
    }
    let offer = offered(&engine.writer().inner);
    assert!(offer.contains_key(&address(0, Family::V4, 81)), "{offer:?}");
    assert_eq!(engine.unplaced(), []);
}

#[test]
fn an_endpoint_stays_while_there_is_no_room_for_what_changed_about_it() {
    let mut engine = Engine::new(NODE, MemoryMaps::new(&Capacities { backends: 2, ..ROOMY })).unwrap();
    for event in [service(0, Family::V4, 80), slice(0, &[(1, false), (2, false)])] {
        engine.apply(event);
    }
    engine.sync().unwrap();
    // Pod 1 turns out to be on this node, and a third one comes.
    engine.apply(slice(0, &[(1, true), (2, false), (3, false)]));
    engine.sync().unwrap();
    let pods: Vec<IpAddr> =
        offered(engine.writer())[&address(0, Family::V4, 80)].iter().map(SocketAddr::ip).collect();
    assert_eq!(pods, [pod_ip(1, Family::V4), pod_ip(2, Family::V4)]);
}
