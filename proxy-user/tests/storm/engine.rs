//! The queue of services that changed: how long it is, and who is first.

use crate::objects::NODE;
use shunt::{
    engine::{Engine, Rules},
    model::{Endpoint, EndpointSlice, Event, Family, ObjectName, Protocol, Service, ServicePort, SlicePort},
    writer::{Capacities, MapReader as _, MemoryMaps},
};
use std::net::Ipv4Addr;

const SERVICES: u32 = 500;

fn name(number: u32) -> ObjectName {
    ObjectName::new("shop", format!("svc-{number}"))
}

/// A Service with ten endpoints, one of which is told by `version`.
fn events(number: u32, version: u32) -> [Event; 2] {
    let mut service = Service::cluster_ip(name(number), vec![Ipv4Addr::from(0x0a60_0000 + number).into()]);
    service.ports =
        vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: None }];
    let address =
        |last: u32| if last == 0 { 0x0ac0_0000 + version } else { 0x0a80_0000 + number * 10 + last };
    let slice = EndpointSlice {
        name: name(number),
        service: name(number).name,
        family: Family::V4,
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8_080 }],
        endpoints: (0..10).map(|last| Endpoint::ready(Ipv4Addr::from(address(last)).into())).collect(),
    };
    [Event::ServiceApplied(service), Event::SliceApplied(slice)]
}

fn engine(capacities: &Capacities) -> Engine<MemoryMaps> {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(capacities)).unwrap();
    (0..SERVICES).flat_map(|number| events(number, number)).for_each(|event| engine.apply(event));
    engine.sync().unwrap();
    engine
}

#[test]
fn a_service_waits_once_and_costs_once_however_often_it_changes() {
    let mut engine = engine(&Capacities::for_cluster(SERVICES, 20));
    let mut version = SERVICES;
    for _ in 0..100 {
        for number in 0..SERVICES {
            version += 1;
            engine.apply(events(number, version)[1].clone());
            assert!(engine.cluster().pending() <= SERVICES as usize);
        }
    }
    let report = engine.sync().unwrap();
    // A new backend, its slot and the end of the old one, for the last of a hundred changes.
    assert_eq!((report.services, report.stores), (SERVICES as usize, 3 * SERVICES as usize));
    assert_eq!((report.puts, report.deletes, report.grace_periods), (0, 0, 0));
}

#[test]
fn who_changes_again_does_not_come_before_who_waits() {
    let mut engine = engine(&Capacities::for_cluster(SERVICES, 20));
    let order = |engine: &mut Engine<MemoryMaps>| {
        // Indices of backends are given in the order in which services are planned.
        let before = engine.usage().backends;
        engine.sync().unwrap();
        let fresh = before..engine.usage().backends;
        fresh.map(|index| engine.writer().backend(index).unwrap().service).collect::<Vec<_>>()
    };
    let port = |engine: &Engine<MemoryMaps>, number: u32| {
        let held = shunt::view::decode(engine.writer()).unwrap();
        held.iter().find(|port| port.id.as_ref().unwrap().service == name(number)).unwrap().index
    };
    let [noisy, quiet, other] = [3, 7, 9].map(|number| port(&engine, number));
    for version in 0..1_000 {
        engine.apply(events(3, 10_000 + version)[1].clone());
        if version == 10 {
            engine.apply(events(7, 20_000)[1].clone());
        }
        if version == 500 {
            engine.apply(events(9, 20_001)[1].clone());
        }
    }
    assert_eq!(order(&mut engine), [noisy, quiet, other]);
}

#[test]
fn what_a_storm_has_freed_is_reused_and_no_service_goes_without() {
    // Room for a tenth of what this storm replaces.
    let capacities = Capacities { backends: SERVICES * 11, ..Capacities::for_cluster(SERVICES, 20) };
    let mut engine = engine(&capacities);
    let (mut version, mut graced) = (SERVICES, 0);
    for round in 0..5_000 {
        version += 1;
        engine.apply(events(round % SERVICES, version)[1].clone());
        let report = engine.sync().unwrap();
        assert!(report.newly_unplaced.is_empty(), "{report:?}");
        assert!(report.services <= 2, "others are not looked at for it");
        graced += report.grace_periods;
    }
    assert!((1..=5_000 / 400).contains(&graced), "{graced} grace periods");
    assert!(engine.unplaced().is_empty() && engine.usage().backends <= capacities.backends);
}
