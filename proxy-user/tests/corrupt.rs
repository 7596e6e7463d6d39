//! Pinned maps with nonsense in them are adopted, shown and mended like any others.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use proxy_common::abi::{
    Address, BackendRef, EndpointSet, FrontendFlags, FrontendKey4, FrontendValue, Scope, ServiceEntry,
    ServiceFlags, TCP,
};
use shunt::{
    engine::{Engine, Rules},
    model::{Event, Family, ObjectName, Protocol, Service, ServicePort},
    table::Usage,
    view::{decode, decode_node},
    writer::{Capacities, FrontendKey, MemoryMaps, Store, Writer},
};
use support::{NODE, cluster_ip};

const SMALL: Capacities = Capacities {
    frontends: 64,
    services: 16,
    slots: 64,
    backends: 64,
    name_cells: 512,
    sockets: 16,
    affinities: 16,
    flows: 1_024,
    prefixes: 64,
};

fn frontend(number: u8) -> FrontendKey {
    let address = Address::from(cluster_ip(number, Family::V4)).v4_word().unwrap();
    FrontendKey::V4(FrontendKey4 { address, port: 80_u16.to_be(), protocol: TCP, scope: Scope::Exact as u8 })
}

fn lead(maps: &mut MemoryMaps, number: u8, service: u32) {
    let key = frontend(number);
    let value = FrontendValue::new(service, FrontendFlags::CLUSTER_IP, key.check());
    maps.put_frontends(&[(key, value)]).unwrap();
}

fn service() -> Event {
    let name = ObjectName::new("default", "svc-0");
    let mut service = Service::cluster_ip(name, vec![cluster_ip(0, Family::V4)]);
    service.ports =
        vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: None }];
    Event::ServiceApplied(service)
}

/// Kilobytes that this process has in memory at most so far.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_frontend_that_leads_outside_of_the_services_is_removed() {
    let mut maps = MemoryMaps::new(&SMALL);
    lead(&mut maps, 3, 1 << 28);
    lead(&mut maps, 4, SMALL.services);
    let before = peak();
    let mut engine = Engine::new(NODE, Rules::default(), maps).unwrap();
    assert!(peak() - before < 64 * 1024, "memory is taken by what the maps hold, not by what they say");
    engine.sync().unwrap();
    engine.settle().unwrap();
    assert!(engine.writer().is_empty());
    assert_eq!(engine.usage(), Usage::default());
}

#[test]
fn sets_names_and_slots_that_lead_outside_are_shown_and_mended() {
    let mut maps = MemoryMaps::new(&SMALL);
    let sets = [
        EndpointSet::new(0, u32::MAX),
        EndpointSet::new(u32::MAX, u32::MAX),
        EndpointSet::new(SMALL.slots - 1, 2),
        EndpointSet::new(3, 8),
    ];
    for (service, set) in (0_u32..).zip(sets) {
        lead(&mut maps, service as u8, service);
        let entry = ServiceEntry { cluster: set, local: set, name: u32::MAX - service, ..Default::default() };
        maps.store(&Store::Service { service, entry });
    }
    maps.store(&Store::Slot { index: 0, backend: BackendRef::new(u32::MAX, 7) });
    let begun = std::time::Instant::now();
    assert_eq!(decode(&maps).unwrap().len(), sets.len());
    assert!(begun.elapsed().as_secs() < 2, "a look takes as long as the maps are large");

    let mut engine = Engine::new(NODE, Rules::default(), maps).unwrap();
    engine.apply(service());
    engine.sync().unwrap();
    let shown = decode(engine.writer()).unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].cluster, []);
    engine.apply(Event::ServiceDeleted(ObjectName::new("default", "svc-0")));
    engine.sync().unwrap();
    engine.settle().unwrap();
    assert_eq!(engine.usage(), Usage::default());
}

#[test]
fn of_two_entries_with_one_name_the_one_that_clients_reach_goes_on() {
    let mut maps = MemoryMaps::new(&SMALL);
    let text = "default/svc-0/http/TCP/IPv4";
    // An agent was killed after it had made the service port anew and before the old entry was cleared.
    for (service, cell) in [(0, 64), (1, 68)] {
        maps.store(&Store::Name { cell, text: text.into() });
        let flags = ServiceFlags::default();
        maps.store(&Store::Policy {
            service,
            affinity_seconds: 0,
            flags,
            name: cell + 1,
            health_check_node_port: 0,
        });
    }
    lead(&mut maps, 0, 1);
    let mut engine = Engine::new(NODE, Rules::default(), maps).unwrap();
    engine.apply(service());
    engine.sync().unwrap();
    assert_eq!(decode(engine.writer()).unwrap()[0].index, 1);
}

#[test]
fn the_longest_name_of_a_node_stays_within_its_cells() {
    let name = "ü".repeat(400);
    let mut engine = Engine::new(name.as_str(), Rules::default(), MemoryMaps::new(&SMALL)).unwrap();
    engine.apply(service());
    engine.sync().unwrap();
    let shown = decode(engine.writer()).unwrap();
    assert!(shown[0].id.is_some());
    let (node, zone) = decode_node(engine.writer());
    assert!(node.len() > 300 && name.starts_with(&node), "{node}");
    assert_eq!(zone, None);
}
