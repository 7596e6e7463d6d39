//! What load balancers are to be answered, against a plain count over the objects that exist: told change by
//! change, once the maps hold it and never before.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use proptest::prelude::*;
use shunt::{
    engine::{Engine, HealthChange, HealthReport, Rules},
    model::{
        Conditions, Endpoint, EndpointSlice, Event, Family, Node, ObjectName, Protocol, Service, ServicePort,
        ServiceType, SlicePort, TrafficPolicy,
    },
    select::HealthCheck,
    view::{decode, health_checks},
    writer::{Capacities, FaultyWriter, MemoryMaps},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
};
use support::{NODE, ROOMY, World, event};

/// What was told so far.
#[derive(Default, PartialEq, Eq, Debug)]
struct Told {
    checks: BTreeMap<ObjectName, HealthCheck>,
    addresses: Option<Vec<IpAddr>>,
}

impl Told {
    fn hear(&mut self, report: HealthReport) {
        for HealthChange { service, check } in report.changes {
            match check {
                Some(check) => drop(self.checks.insert(service, check)),
                None => drop(self.checks.remove(&service)),
            }
        }
        self.addresses = report.addresses.or_else(|| self.addresses.take());
    }
}

/// What the rules say, object by object.
fn expected(world: &World) -> Told {
    let mut checks = BTreeMap::new();
    for service in world.services.values() {
        let is_checked =
            service.kind == ServiceType::LoadBalancer && service.external_policy == TrafficPolicy::Local;
        let is_served = !service.headless && !service.foreign_proxy && !service.ports.is_empty();
        let Some(port) = service.health_check_node_port.filter(|_| is_checked && is_served) else { continue };
        let ready = Family::BOTH.map(|family| {
            service
                .cluster_ips
                .iter()
                .any(|ip| Family::of(ip) == family)
                .then(|| count(world, service, family))
        });
        if ready != [None, None] {
            checks.insert(service.name.clone(), HealthCheck { port, ready });
        }
    }
    let addresses = world.nodes.get(NODE).map_or(&[][..], |node| &node.addresses);
    let primary = |family| addresses.iter().copied().find(|address| Family::of(address) == family);
    Told { checks, addresses: Some(Family::BOTH.into_iter().filter_map(primary).collect()) }
}

fn count(world: &World, service: &Service, family: Family) -> u32 {
    let mut ready = BTreeSet::new();
    for slice in world.slices.values().filter(|slice| {
        (&slice.name.namespace, &slice.service, slice.family)
            == (&service.name.namespace, &service.name.name, family)
    }) {
        let joins = slice.ports.iter().any(|listed| {
            service.ports.iter().any(|port| (&port.name, port.protocol) == (&listed.name, listed.protocol))
        });
        let here = slice.endpoints.iter().filter(|endpoint| endpoint.node.as_deref() == Some(NODE));
        ready.extend(here.filter(|e| joins && e.conditions.ready).map(|endpoint| endpoint.address));
    }
    ready.len() as u32
}

/// What the maps alone say of Services all of whose ports are in them: `name`, family, port, count.
fn shown(maps: &MemoryMaps, world: &World) -> Vec<(ObjectName, Family, u16, usize)> {
    let ports = decode(maps).unwrap();
    let is_whole = |service: &ObjectName, family| {
        let shown = ports.iter().filter_map(|port| port.id.as_ref());
        let shown = shown.filter(|id| (&id.service, id.family) == (service, family)).count();
        shown == world.services[service].ports.len()
    };
    let checks = health_checks(&ports).into_iter().filter(|check| is_whole(&check.service, check.family));
    checks.map(|check| (check.service, check.family, check.port, check.local_endpoints)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::with_cases(3_000) })]

    #[test]
    fn what_is_told_is_what_the_rules_say(
        events in prop::collection::vec((event(), 0..4_u8), 1..60),
        fates in prop::collection::vec(prop::option::weighted(0.3, 0..4_usize), 0..40),
    ) {
        let fates = Rc::new(RefCell::new(fates));
        let fate = { let fates = Rc::clone(&fates); move || fates.borrow_mut().pop().flatten() };
        let writer = FaultyWriter { inner: MemoryMaps::new(&ROOMY), fate };
        let (mut engine, mut world) = (Engine::new(NODE, Rules::default(), writer).unwrap(), World::default());
        let mut told = Told::default();
        let last = events.len() - 1;
        for (number, (event, sync)) in events.into_iter().enumerate() {
            world.apply(&event);
            engine.apply(event);
            if number == last {
                fates.borrow_mut().clear();
            }
            // Several events may wait for one sync; one that failed tells nothing.
            if (sync == 0 || number == last) && let Ok(report) = engine.sync() {
                told.hear(report.health);
                prop_assert_eq!(&told, &expected(&world));
                for (service, family, port, count) in shown(&engine.writer().inner, &world) {
                    let check = told.checks[&service];
                    prop_assert_eq!((check.port, check.ready(family)), (port, Some(count as u32)), "{}", service);
                }
            }
        }
        prop_assert_eq!(engine.sync().unwrap().health, HealthReport::default(), "told twice");
        for event in world.deletions() {
            engine.apply(event);
        }
        told.hear(engine.sync().unwrap().health);
        prop_assert_eq!(told, Told { addresses: Some(Vec::new()), ..Told::default() });
    }
}

fn name(name: &str) -> ObjectName {
    ObjectName::new("default", name)
}

/// A checked Service of ports `http` and `admin`.
fn web(number: u8) -> Service {
    let port =
        |name: &str, port| ServicePort { name: name.into(), protocol: Protocol::Tcp, port, node_port: None };
    Service {
        kind: ServiceType::LoadBalancer,
        external_policy: TrafficPolicy::Local,
        health_check_node_port: Some(32_000 + u16::from(number)),
        ports: vec![port("http", 80), port("admin", 81)],
        ..Service::cluster_ip(name(&format!("web-{number}")), vec![Ipv4Addr::new(10, 96, 0, number).into()])
    }
}

fn slice(number: u8, endpoints: &[(u8, Conditions)]) -> EndpointSlice {
    let port = |name: &str, port| SlicePort { name: name.into(), protocol: Protocol::Tcp, port };
    let endpoint = |(pod, conditions): &(u8, Conditions)| Endpoint {
        node: Some(NODE.into()),
        conditions: *conditions,
        ..Endpoint::ready(Ipv4Addr::new(10, 244, number, *pod).into())
    };
    EndpointSlice {
        name: name(&format!("web-{number}-1")),
        service: format!("web-{number}").into(),
        family: Family::V4,
        ports: vec![port("http", 8080), port("admin", 8081)],
        endpoints: endpoints.iter().map(endpoint).collect(),
    }
}

const READY: Conditions = Conditions { ready: true, serving: true, terminating: false };
const DRAINING: Conditions = Conditions { ready: false, serving: true, terminating: true };

fn change(number: u8, ready: u32) -> HealthChange {
    let check = HealthCheck { port: 32_000 + u16::from(number), ready: [Some(ready), None] };
    HealthChange { service: name(&format!("web-{number}")), check: Some(check) }
}

#[test]
fn nothing_is_told_that_the_maps_do_not_hold() {
    let fails = Rc::new(RefCell::new(false));
    let fate = {
        let fails = Rc::clone(&fails);
        move || fails.borrow().then_some(0)
    };
    let writer = FaultyWriter { inner: MemoryMaps::new(&ROOMY), fate };
    let mut engine = Engine::new(NODE, Rules::default(), writer).unwrap();
    *fails.borrow_mut() = true;
    engine.apply(Event::ServiceApplied(web(1)));
    engine.apply(Event::SliceApplied(slice(1, &[(1, READY)])));
    assert!(engine.sync().is_err());
    // It comes and goes while nothing can be written.
    engine.apply(Event::ServiceApplied(web(2)));
    assert!(engine.sync().is_err());
    engine.apply(Event::ServiceDeleted(name("web-2")));
    assert!(engine.sync().is_err());
    *fails.borrow_mut() = false;
    let HealthReport { changes, addresses } = engine.sync().unwrap().health;
    assert_eq!(changes, [change(1, 1), HealthChange { service: name("web-2"), check: None }]);
    assert_eq!(addresses, Some(vec![]), "nobody has named a Node");
}

#[test]
fn a_change_tells_of_its_service_alone() {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&ROOMY)).unwrap();
    for number in 1..=10 {
        engine.apply(Event::ServiceApplied(web(number)));
        engine.apply(Event::SliceApplied(slice(number, &[(1, READY)])));
    }
    assert_eq!(engine.sync().unwrap().health.changes.len(), 10);
    engine.apply(Event::SliceApplied(slice(7, &[(1, READY), (2, READY)])));
    let report = engine.sync().unwrap();
    assert_eq!((report.services, report.health.changes), (1, vec![change(7, 2)]));

    // Of two that are ready, one drains and another one comes: the answer is the same, and nothing is told.
    engine.apply(Event::SliceApplied(slice(7, &[(1, READY), (2, DRAINING), (3, READY)])));
    let report = engine.sync().unwrap();
    assert!(report.stores > 0);
    assert_eq!(report.health, HealthReport::default());

    engine.apply(Event::NodeApplied(Node {
        name: NODE.into(),
        addresses: vec!["192.168.77.1".parse().unwrap()],
        ..Node::default()
    }));
    let HealthReport { changes, addresses } = engine.sync().unwrap().health;
    assert_eq!((changes, addresses), (vec![], Some(vec!["192.168.77.1".parse().unwrap()])));
}

#[test]
fn what_nobody_heard_is_told_again() {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&ROOMY)).unwrap();
    for number in 1..=2 {
        engine.apply(Event::ServiceApplied(web(number)));
    }
    let lost = engine.sync().unwrap().health;
    engine.apply(Event::SliceApplied(slice(2, &[(1, READY)])));
    engine.unheard(lost);
    let HealthReport { changes, addresses } = engine.sync().unwrap().health;
    assert_eq!(changes, [change(1, 0), change(2, 1)]);
    assert_eq!(addresses, Some(vec![]));
}

/// Room for the two ports of one Service, with these endpoints.
const TIGHT: Capacities = Capacities { services: 2, slots: 8, backends: 4, ..ROOMY };

#[test]
fn a_service_that_found_no_room_turns_load_balancers_away() {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&TIGHT)).unwrap();
    for number in 1..=2 {
        engine.apply(Event::ServiceApplied(web(number)));
        engine.apply(Event::SliceApplied(slice(number, &[(1, READY)])));
    }
    let report = engine.sync().unwrap();
    assert_eq!(report.newly_unplaced.len(), 2);
    let changes = report.health.changes;
    let unplaced = &report.newly_unplaced[0].port.service;
    let (served, other) = if *unplaced == name("web-1") { (2, 1) } else { (1, 2) };
    assert_eq!(BTreeSet::from_iter(changes.iter().map(|change| &change.service)).len(), 2);
    assert!(changes.contains(&change(served, 1)) && changes.contains(&change(other, 0)), "{changes:?}");

    engine.apply(Event::ServiceDeleted(name(&format!("web-{served}"))));
    let changes = engine.sync().unwrap().health.changes;
    assert!(changes.contains(&change(other, 1)), "it found room: {changes:?}");
}
