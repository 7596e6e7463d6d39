//! An agent that takes over while its source cannot read everything.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use proxy_common::{abi::NodeFlags, datapath::Tables as _};
use shunt::{
    engine::{Engine, Rules},
    model::{Event, Family, ServiceCidr},
    writer::{FaultyWriter, MemoryMaps},
};
use support::{
    NODE, offered,
    plain::{ROOMY, address, service, slice},
};

#[test]
fn an_heir_that_cannot_read_everything_leaves_what_it_may_not_have_read() {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&ROOMY)).unwrap();
    for number in [0, 1] {
        engine.apply(service(number, Family::V4, 80));
        engine.apply(slice(number, &[(1, false)]));
    }
    engine.sync().unwrap();
    let before = offered(engine.writer());

    // Of the first Service only the slice is unreadable, of the second all; a third one is new.
    let mut heir = Engine::new(NODE, Rules::default(), engine.writer().clone()).unwrap();
    heir.hold(true);
    assert_eq!(heir.adopted_services(), 2);
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

const LOCALHOST: NodeFlags = NodeFlags::LOCALHOST_V4.union(NodeFlags::LOCALHOST_V6);

#[test]
fn node_ports_answer_on_localhost_although_the_first_list_was_not_complete() {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&ROOMY)).unwrap();
    engine.hold(true);
    engine.apply(service(0, Family::V4, 80));
    engine.sync().unwrap();
    assert_eq!(engine.writer().node_flags(), LOCALHOST);
    engine.hold(false);
    engine.sync().unwrap();
    assert_eq!(engine.writer().node_flags(), LOCALHOST);
}

/// Else a connection to a Service that is about to be written would be taken for one that no Service has.
#[test]
fn what_no_service_has_is_dropped_only_once_all_services_are_written() {
    let mut fails = true;
    let fate = || std::mem::take(&mut fails).then_some(0);
    let writer = FaultyWriter { inner: MemoryMaps::new(&ROOMY), fate };
    let mut engine = Engine::new(NODE, Rules::default(), writer).unwrap();
    let cidrs = vec!["10.96.0.0/12".parse().unwrap()];
    engine.apply(Event::ServiceCidrApplied(ServiceCidr { name: "kubernetes".into(), cidrs }));
    engine.apply(service(0, Family::V4, 80));
    engine.sync().unwrap_err();
    assert_eq!(engine.writer().inner.node_flags(), LOCALHOST);
    engine.sync().unwrap();
    assert_eq!(engine.writer().inner.node_flags(), NodeFlags::SERVICE_CIDRS.union(LOCALHOST));
}

#[test]
fn the_service_cidrs_of_a_former_agent_count_until_a_list_is_complete() {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&ROOMY)).unwrap();
    let cidrs = vec!["10.96.0.0/12".parse().unwrap()];
    engine.apply(Event::ServiceCidrApplied(ServiceCidr { name: "kubernetes".into(), cidrs }));
    engine.sync().unwrap();
    let known = NodeFlags::SERVICE_CIDRS.union(LOCALHOST);
    assert_eq!(engine.writer().node_flags(), known);

    // The manifest of the ServiceCIDR cannot be read; the addresses of the node always can.
    let mut heir = Engine::new(NODE, Rules::default(), engine.writer().clone()).unwrap();
    heir.hold(true);
    heir.apply(Event::LocalAddresses(vec!["192.168.0.7".parse().unwrap()]));
    heir.sync().unwrap();
    assert_eq!(heir.writer().node_flags(), known);
    heir.hold(false);
    heir.sync().unwrap();
    assert_eq!(heir.writer().node_flags(), LOCALHOST, "by now it is known that there is none");
}
