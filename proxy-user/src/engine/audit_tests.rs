use super::super::Rules;
use super::*;
use crate::{
    model::{Event, Family, ObjectName, Protocol, Service, ServicePort},
    writer::{Capacities, MemoryMaps},
};

fn engine() -> Engine<MemoryMaps> {
    let capacities = Capacities { frontends: 64, services: 16, name_cells: 256, ..Capacities::default() };
    Engine::new("n", Rules::default(), MemoryMaps::new(&capacities)).unwrap()
}

fn service() -> Event {
    let mut service =
        Service::cluster_ip(ObjectName::new("default", "a"), vec!["10.96.0.1".parse().unwrap()]);
    service.ports =
        vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: None }];
    Event::ServiceApplied(service)
}

#[test]
fn before_the_first_complete_list_nothing_is_written() {
    let mut engine = engine();
    engine.apply(service());
    assert_eq!(engine.audit().unwrap(), None);
    engine.hold(true);
    engine.sync().unwrap();
    assert_eq!(engine.audit().unwrap(), None);
    assert_eq!(crate::view::decode(engine.writer()).unwrap().len(), 1);
}

#[test]
fn maps_that_nobody_else_has_written_to_cost_no_write() {
    let mut engine = engine();
    engine.apply(service());
    engine.sync().unwrap();
    for _ in 0..3 {
        let report = engine.audit().unwrap().unwrap();
        let writes = [report.stores, report.puts, report.deletes, report.prefixes, report.grace_periods];
        assert_eq!(writes, [0; 5], "{report:?}");
        assert!(engine.is_complete() && !engine.is_pending());
    }
    assert_eq!(crate::view::decode(engine.writer()).unwrap()[0].id.as_ref().unwrap().family, Family::V4);
}
