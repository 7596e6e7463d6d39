//! Full maps: what did not fit is programmed once there is room, and nothing else is lost meanwhile.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use shunt::{
    engine::{Engine, Rules},
    model::Family,
    writer::{Capacities, FaultyWriter, MapReader, MemoryMaps},
};
use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
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
