//! Full maps: what did not fit is programmed once there is room, and nothing else is lost meanwhile.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use proxy_common::{
    abi::{FrontendValue, Scope, SocketPeer, TCP},
    datapath::{Origin, PacketClient, Reason, Verdict, route},
};
use shunt::{
    engine::{Engine, Rules},
    model::{Event, Family},
    writer::{Capacities, FaultyWriter, FrontendKey, MapReader, MemoryMaps, Writer as _},
};
use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};
use support::{
    NODE, Recorder, offered,
    plain::{ROOMY, address, service, slice},
    pod_ip,
};

#[test]
fn what_waits_for_room_is_tried_again_after_a_sync_that_made_room_and_then_failed() {
    let fates = Rc::new(RefCell::new(Vec::new()));
    let fate = {
        let fates = Rc::clone(&fates);
        move || fates.borrow_mut().pop().flatten()
    };
    let capacities = Capacities { frontends: 2, ..ROOMY };
    let writer = FaultyWriter { inner: MemoryMaps::new(&capacities), fate };
    let mut engine = Engine::new(NODE, Rules::default(), writer).unwrap();
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
    let mut engine =
        Engine::new(NODE, Rules::default(), MemoryMaps::new(&Capacities { backends: 2, ..ROOMY })).unwrap();
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

#[test]
fn endpoints_that_are_replaced_serve_until_there_is_room_for_the_new_ones() {
    let recorder = Recorder::new(&Capacities { backends: 4, ..ROOMY });
    let history = recorder.history();
    let mut engine = Engine::new(NODE, Rules::default(), recorder).unwrap();
    engine.apply(service(0, Family::V4, 80));
    engine.apply(slice(0, &[(1, false), (2, false)]));
    engine.sync().unwrap();
    let index = engine.writer().frontends().unwrap()[0].1.service;
    // The second replacement finds two backends in use and two waiting for a grace period.
    for pods in [[3, 4], [5, 6]] {
        engine.apply(slice(0, &pods.map(|pod| (pod, false))));
        let report = engine.sync().unwrap();
        assert!(engine.unplaced().is_empty());
        assert_eq!(report.grace_periods, usize::from(pods == [5, 6]));
        let sets: Vec<_> = history.borrow().iter().map(|maps| maps.service(index).unwrap().cluster).collect();
        assert!(sets.iter().skip_while(|set| set.count() == 0).all(|set| set.count() > 0), "{sets:?}");
    }
    let served = offered(engine.writer()).remove(&address(0, Family::V4, 80)).unwrap();
    assert_eq!(served, [5, 6].map(|pod| SocketAddr::new(pod_ip(pod, Family::V4), 8080)).into());
}

/// A Service with a load-balancer address that only `ranges` may use.
fn restricted(number: u8, ranges: &[&str]) -> Event {
    let Event::ServiceApplied(mut restricted) = service(number, Family::V4, 80) else { unreachable!() };
    restricted.load_balancer_ips = vec![balancer(number).address.to_ip()];
    restricted.source_ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
    Event::ServiceApplied(restricted)
}

fn balancer(number: u8) -> SocketPeer {
    SocketPeer::new(Ipv4Addr::new(203, 0, 113, number).into(), 80_u16.to_be())
}

/// Whether a client outside of the cluster is let in to the load-balancer address of a Service.
fn lets_in(engine: &Engine<MemoryMaps>, number: u8, client: &str) -> bool {
    let client = PacketClient { origin: Origin::Outside, address: client.parse::<IpAddr>().unwrap().into() };
    match route(engine.writer(), &client, &balancer(number), TCP) {
        Verdict::Drop(Reason::SourceNotAllowed) => false,
        Verdict::Forward(_) => true,
        other => panic!("{other:?}"),
    }
}

fn with_room_for_two_ranges() -> Engine<MemoryMaps> {
    let maps = MemoryMaps::new(&Capacities { prefixes: 2, ..ROOMY });
    let mut engine = Engine::new(NODE, Rules::default(), maps).unwrap();
    for number in [0, 1] {
        engine.apply(slice(number, &[(1, false)]));
    }
    engine
}

#[test]
fn a_range_that_a_service_gives_up_makes_room_for_those_of_another() {
    let mut engine = with_room_for_two_ranges();
    engine.apply(restricted(0, &["10.0.0.0/8", "172.16.0.0/12"]));
    engine.sync().unwrap();
    engine.apply(restricted(1, &["192.168.0.0/16"]));
    engine.sync().unwrap();
    assert_eq!(engine.unplaced().len(), 1);
    engine.apply(restricted(0, &["10.0.0.0/8"]));
    engine.sync().unwrap();
    assert_eq!(engine.unplaced(), []);
    assert!(lets_in(&engine, 1, "192.168.0.9") && !lets_in(&engine, 1, "10.0.0.9"));
}

#[test]
fn ranges_are_replaced_in_maps_that_are_full_of_them() {
    let mut engine = with_room_for_two_ranges();
    engine.apply(restricted(0, &["10.0.0.0/8", "172.16.0.0/12"]));
    engine.sync().unwrap();
    engine.apply(restricted(0, &["10.1.0.0/16", "192.168.0.0/16"]));
    engine.sync().unwrap();
    assert_eq!(engine.unplaced(), []);
    assert!(lets_in(&engine, 0, "10.1.0.9") && lets_in(&engine, 0, "192.168.0.9"));
    assert!(!lets_in(&engine, 0, "10.2.0.9") && !lets_in(&engine, 0, "172.16.0.9"));
}

#[test]
fn nobody_is_let_in_by_a_range_that_is_gone_for_want_of_room_for_the_new_ones() {
    let mut engine = with_room_for_two_ranges();
    engine.apply(restricted(0, &["10.0.0.0/8", "172.16.0.0/12"]));
    engine.sync().unwrap();
    engine.apply(restricted(0, &["172.16.0.0/12", "10.1.0.0/16", "10.2.0.0/16"]));
    engine.sync().unwrap();
    assert_eq!(engine.unplaced().len(), 1);
    assert!(!lets_in(&engine, 0, "10.3.0.9"), "10.0.0.0/8 is gone");
    assert!(lets_in(&engine, 0, "172.16.0.9"), "what is named as before stays");
}

#[test]
fn a_map_in_memory_is_full_when_the_kernels_would_be() {
    let mut maps = MemoryMaps::new(&Capacities { frontends: 1, ..ROOMY });
    let key = |ip: IpAddr| FrontendKey::new(ip, 80, TCP, Scope::Exact);
    let put = |maps: &mut MemoryMaps, number, family| {
        maps.put_frontends(&[(key(pod_ip(number, family)), FrontendValue::default())]).is_ok()
    };
    assert!(put(&mut maps, 1, Family::V4) && put(&mut maps, 1, Family::V4), "the same entry again");
    assert!(!put(&mut maps, 2, Family::V4));
    assert!(put(&mut maps, 1, Family::V6), "each family has a map of its own");
    let gone = [key(pod_ip(1, Family::V4)), key(pod_ip(2, Family::V4))];
    maps.delete_frontends(&gone).unwrap();
    maps.delete_frontends(&gone).unwrap();
    assert!(put(&mut maps, 2, Family::V4) && !put(&mut maps, 1, Family::V4));
    let mut copy = MemoryMaps::copy_of(&maps).unwrap();
    assert!(!put(&mut copy, 2, Family::V6));
}

#[test]
fn services_do_not_wait_for_the_source_ranges_of_another() {
    let fates = Rc::new(RefCell::new(Vec::new()));
    let fate = {
        let fates = Rc::clone(&fates);
        move || fates.borrow_mut().pop().flatten()
    };
    let writer = FaultyWriter { inner: MemoryMaps::new(&ROOMY), fate };
    let mut engine = Engine::new(NODE, Rules::default(), writer).unwrap();
    engine.sync().unwrap();
    for number in [0, 1] {
        engine.apply(slice(number, &[(1, false)]));
    }
    engine.apply(restricted(0, &["10.0.0.0/8"]));
    engine.apply(service(1, Family::V4, 80));
    fates.borrow_mut().push(Some(0));
    engine.sync().unwrap_err();
    assert!(offered(&engine.writer().inner).contains_key(&address(1, Family::V4, 80)));
    let client = PacketClient { origin: Origin::Outside, address: Ipv4Addr::new(10, 0, 0, 9).into() };
    let verdict = |engine: &Engine<FaultyWriter<MemoryMaps, _>>| {
        route(&engine.writer().inner, &client, &balancer(0), TCP)
    };
    assert_eq!(verdict(&engine), Verdict::Drop(Reason::SourceNotAllowed), "nobody is let in meanwhile");
    engine.sync().unwrap();
    assert!(matches!(verdict(&engine), Verdict::Forward(_)));
}
