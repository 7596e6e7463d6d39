//! Clients outside while maps grow: their packets come to NodePorts, ClusterIPs and addresses of load balancers of a node,
//! and go to pods there and elsewhere.

use crate::ask::{Seen, assert_all_answer, assert_answers};
use crate::backend::Backend;
use crate::service::{self, Kind, ready, service};
use crate::stage::{Setup, Stage};
use crate::versions::describe_no_more;
use crate::{sizes, traffic};
use proxy_common::abi::Counter;
use shunt::lab::Place;
use shunt::model::{Event, Family, Protocol, Service};

/// Endpoints of each Service: half of them on the node, half on the other one.
const PODS: usize = 2;

fn frontends(number: u8, stage: &Stage) -> Vec<std::net::SocketAddr> {
    let kinds = [Kind::NodePort, Kind::ClusterIp, Kind::LoadBalancer];
    Family::BOTH
        .into_iter()
        .flat_map(|family| kinds.map(|kind| service::frontend(number, kind, family, stage.node())))
        .collect()
}

fn nothing_notices(clsact: bool) {
    // Flows that end are not forgotten here, as the agent does: the maps must hold all that begin.
    let Some(mut stage) = Stage::new(&Setup { clsact, flows: 1 << 18, ..Setup::default() }) else { return };
    let pods: Vec<Backend> =
        (0..2 * PODS).map(|index| stage.pod(index % 2, &format!("pod-{index}"))).collect();
    let affine = Service { affinity_seconds: Some(3_600), ..service(2) };
    for service in [service(1), affine] {
        stage.serve(&service, &ready(&pods.iter().collect::<Vec<_>>()));
    }
    let targets = traffic::Targets {
        tcp: frontends(1, &stage),
        udp: frontends(1, &stage),
        affine: frontends(2, &stage),
        connected_udp: true,
    };
    let client = Place::from(&**stage.client());
    for grown in [sizes::config, sizes::remembered, sizes::all] {
        let ((before, after), counts) = traffic::during(&client, &targets, || stage.grow(grown));
        assert_eq!(after, grown(&before));
        eprintln!("{counts:?}");
        counts.assert_all_well(20);
    }
    for counter in
        [Counter::PacketNoRoute, Counter::FlowsFull, Counter::PortsExhausted, Counter::PacketUnsupported]
    {
        assert_eq!(stage.counter(counter), 0, "{}", counter.name());
    }
    drop(pods);
    stage.assert_nothing_left();
}

#[test]
fn no_flow_of_packets_notices_an_upgrade() {
    let setup = Setup { flows: 1 << 18, ..Setup::default() };
    let Some(mut stage) = Stage::new(&setup) else { return };
    let pods: Vec<Backend> =
        (0..2 * PODS).map(|index| stage.pod(index % 2, &format!("pod-{index}"))).collect();
    let endpoints = ready(&pods.iter().collect::<Vec<_>>());
    let affine = Service { affinity_seconds: Some(3_600), ..service(2) };
    let mut events = Vec::new();
    for service in [service(1), affine] {
        stage.serve(&service, &endpoints);
        let slices = Family::BOTH.map(|family| service::slice(&service, family, &endpoints));
        events.extend(slices.map(Event::SliceApplied));
        events.push(Event::ServiceApplied(service));
    }
    let targets = traffic::Targets {
        tcp: frontends(1, &stage),
        udp: frontends(1, &stage),
        affine: frontends(2, &stage),
        connected_udp: true,
    };
    let client = Place::from(&**stage.client());
    for version in ["v3", "v12"] {
        let ((), counts) =
            traffic::during(&client, &targets, || stage.upgrade(&setup, version, events.clone()));
        counts.assert_all_well(20);
        assert!(!stage.pin_path().join(version).exists());
    }
    drop(pods);
    stage.assert_nothing_left();
}

#[test]
fn no_flow_of_packets_notices_that_maps_grow() {
    nothing_notices(false);
}

#[test]
fn no_flow_of_packets_notices_it_by_clsact() {
    nothing_notices(true);
}

#[test]
fn maps_that_grow_while_another_version_serves_are_those_that_packets_come_to() {
    let Some(mut stage) = Stage::usual() else { return };
    let pod = stage.pod(0, "pod");
    let mut events = Vec::new();
    for number in 1..=8 {
        let (service, endpoints) = (service(number), ready(&[&pod]));
        stage.serve(&service, &endpoints);
        let slices = Family::BOTH.map(|family| service::slice(&service, family, &endpoints));
        events.extend(slices.map(Event::SliceApplied));
        events.push(Event::ServiceApplied(service));
    }
    let dials = stage.dials(8, &[Kind::NodePort, Kind::ClusterIp]);
    assert_all_answer(&**stage.client(), &dials, "pod", Seen::Client);
    describe_no_more(&stage.pin_path().join("v4/maps/SERVICES"));
    let small = Setup { services: 2, ..Setup::default() };
    stage.upgrade(&small, "v3", events);
    assert!(!stage.pin_path().join("v3").exists());
    assert!(!stage.pin_path().join("v4/maps").exists(), "the first maps were too small");
    assert_all_answer(&**stage.client(), &dials, "pod", Seen::Client);
    // What is no Service's passes the same programs.
    let host = stage.host_pod(0, "host");
    for family in Family::BOTH {
        let to = (host.ip(family), service::ENDPOINT_PORT).into();
        assert_answers(&**stage.client(), Protocol::Tcp, to, "host", Seen::Client);
    }
    drop((pod, host));
    stage.assert_nothing_left();
}
