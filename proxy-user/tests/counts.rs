//! What a change costs, counted and not timed: bpf(2) calls and memory stores.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod field;

use field::{Field, service, skipped};
use shunt::{
    kernel::sys,
    model::{Event, Protocol, ServiceType},
    writer::Capacities,
};
use std::net::{Ipv4Addr, SocketAddr};

fn frontend(number: u32) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(0x0a60_0000 + number).into(), 80)
}

fn endpoints(first: u32, count: u32) -> Vec<SocketAddr> {
    (first..first + count).map(|n| SocketAddr::new(Ipv4Addr::from(0x0af4_0000 + n).into(), 8080)).collect()
}

fn five_frontends(name: &str, number: u32, endpoints: &[SocketAddr]) -> [Event; 2] {
    let [mut object, slice] = service(name, frontend(number), Protocol::Tcp, endpoints);
    if let Event::ServiceApplied(service) = &mut object {
        let address = |net: u32| Ipv4Addr::from(net + number).into();
        service.kind = ServiceType::LoadBalancer;
        service.ports[0].node_port = Some(30_000 + number as u16);
        service.external_ips = vec![address(0xcb00_0000), address(0xc612_0000)];
        service.load_balancer_ips = vec![address(0xc000_0000)];
    }
    [object, slice]
}

/// One test, because the calls of the whole process are counted.
#[test]
fn changes_cost_what_changed() {
    if skipped() {
        return;
    }
    // Five frontends per service: ClusterIP, node port, two external IPs and a load balancer's; and one entry
    // that says that the first is a ClusterIP.
    let capacities = Capacities { frontends: 80_000, ..Capacities::for_cluster(12_000, 10) };
    let mut field = Field::with(1, capacities);
    let calls = |field: &mut Field, name: &str, number: u32, endpoints: &[SocketAddr]| {
        five_frontends(name, number, endpoints).into_iter().for_each(|e| field.dataplane.apply(e));
        let before = sys::calls();
        let report = field.dataplane.sync().unwrap();
        (sys::calls() - before, report)
    };

    // The first fill of 10 000 services of ten endpoints.
    for number in 1..=10_000 {
        let events = five_frontends(&format!("svc-{number}"), number, &endpoints(number * 10, 10));
        events.into_iter().for_each(|event| field.dataplane.apply(event));
    }
    let before = sys::calls();
    let report = field.dataplane.sync().unwrap();
    let fill = sys::calls() - before;
    assert_eq!((report.services, report.puts), (10_000, 60_000));
    assert!(fill <= 200, "the first fill took {fill} bpf(2) calls");

    // One endpoint less, and one more, ten times over: no call at all, and three stores each.
    for _ in 0..10 {
        let (fewer, report) = calls(&mut field, "svc-7", 7, &endpoints(70, 9));
        assert_eq!((fewer, report.puts, report.deletes), (0, 0, 0));
        assert!(report.stores <= 3, "{report:?}");
        let (more, report) = calls(&mut field, "svc-7", 7, &endpoints(70, 10));
        assert_eq!((more, report.puts, report.deletes), (0, 0, 0));
        assert!(report.stores <= 3, "{report:?}");
    }

    // The same again: nothing at all.
    let (none, report) = calls(&mut field, "svc-7", 7, &endpoints(70, 10));
    assert_eq!((none, report.services, report.stores), (0, 0, 0));

    // A new service: at most one call per frontend.
    let (new, report) = calls(&mut field, "new", 20_000, &endpoints(70, 3));
    assert_eq!(report.puts, 6);
    assert!(new <= 5, "a new service of five frontends took {new} bpf(2) calls");

    // Reuse is paid for by one grace period for all that was freed, when the room runs out.
    let mut graced = 0;
    let mut spent = 0;
    for round in 0..400 {
        let (calls, report) = calls(&mut field, "churn", 30_000, &endpoints(200_000 + round * 10, 100));
        graced += report.grace_periods;
        spent += calls;
    }
    let freed = 400 * 10;
    assert!(graced <= 4, "{graced} grace periods for {freed} freed endpoints");
    assert!(spent <= 2 + 3 * graced as u64, "{spent} bpf(2) calls with {graced} grace periods");
    assert_eq!(field.dataplane.unplaced(), []);
    assert_eq!(field.dataplane.counter(proxy_common::abi::Counter::Inconsistent).unwrap(), 0);
}
