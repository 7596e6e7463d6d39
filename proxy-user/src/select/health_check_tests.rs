//! Health checks as tables: a Service, its slices, what is answered.

use super::*;
use crate::{
    cluster::Cluster,
    model::{
        Conditions, Endpoint, EndpointSlice, Event, ObjectName, Protocol, ServicePort, ServiceType,
        SlicePort, TrafficPolicy,
    },
};
use Protocol::{Tcp, Udp};
use std::net::{IpAddr, Ipv4Addr};

const HERE: &str = "node-a";

/// `http/TCP` and `dns/UDP`, checked on port 32000.
fn service(cluster_ips: &[&str]) -> Service {
    let port =
        |name: &str, protocol, port| ServicePort { name: name.into(), protocol, port, node_port: None };
    let cluster_ips = cluster_ips.iter().map(|ip| ip.parse().unwrap()).collect();
    Service {
        kind: ServiceType::LoadBalancer,
        external_policy: TrafficPolicy::Local,
        health_check_node_port: Some(32_000),
        ports: vec![port("http", Tcp, 80), port("dns", Udp, 53)],
        ..Service::cluster_ip(ObjectName::new("shop", "web"), cluster_ips)
    }
}

/// An endpoint in words: `ready`, or `draining`, which serves while it terminates; `here` on this node.
fn endpoint(address: IpAddr, words: &str) -> Endpoint {
    let has = |word: &str| words.split(' ').any(|other| other == word);
    Endpoint {
        conditions: Conditions { ready: has("ready"), serving: true, terminating: has("draining") },
        node: Some(if has("here") { HERE } else { "node-b" }.into()),
        ..Endpoint::ready(address)
    }
}

type Slice<'a> = (&'a [(&'a str, Protocol, u16)], &'a [(&'a str, &'a str)]);

fn select(service: &Service, slices: &[Slice<'_>]) -> Option<HealthCheck> {
    let mut cluster = Cluster::new(HERE);
    cluster.apply(Event::ServiceApplied(service.clone()));
    for (number, (ports, endpoints)) in slices.iter().enumerate() {
        let port = |(name, protocol, port): &(&str, _, _)| SlicePort {
            name: (*name).into(),
            protocol: *protocol,
            port: *port,
        };
        let endpoints: Vec<_> =
            endpoints.iter().map(|(address, words)| endpoint(address.parse().unwrap(), words)).collect();
        cluster.apply(Event::SliceApplied(EndpointSlice {
            name: ObjectName::new("shop", format!("web-{number}")),
            service: "web".into(),
            family: endpoints.first().map_or(Family::V4, |endpoint| Family::of(&endpoint.address)),
            ports: ports.iter().map(port).collect(),
            endpoints,
        }));
    }
    let id = cluster.next_dirty().unwrap();
    let known = cluster.service(id).unwrap();
    select_health_check(known.service.as_ref().unwrap(), cluster.slices(known))
}

const BOTH: &[&str] = &["10.96.0.10", "fd00:96::10"];
const HTTP: &[(&str, Protocol, u16)] = &[("http", Tcp, 8080)];
const DNS: &[(&str, Protocol, u16)] = &[("dns", Udp, 5353)];

#[test]
fn who_is_counted() {
    let table: [(&str, &[Slice<'_>], [u32; 2]); 11] = [
        ("nobody without slices", &[], [0, 0]),
        ("ready ones of this node", &[(HTTP, &[("10.0.0.1", "ready here"), ("10.0.0.2", "ready")])], [1, 0]),
        (
            "not one that terminates, though it gets traffic",
            &[(HTTP, &[("10.0.0.1", "draining here"), ("10.0.0.2", "ready")])],
            [0, 0],
        ),
        ("nor one that is not ready", &[(HTTP, &[("10.0.0.1", "here")])], [0, 0]),
        (
            "two ports of one pod are one, in one slice",
            &[(&[("http", Tcp, 8080), ("dns", Udp, 5353)], &[("10.0.0.1", "ready here")])],
            [1, 0],
        ),
        (
            "and in two slices",
            &[(HTTP, &[("10.0.0.1", "ready here")]), (DNS, &[("10.0.0.1", "ready here")])],
            [1, 0],
        ),
        (
            "those of all ports together",
            &[(HTTP, &[("10.0.0.1", "ready here")]), (DNS, &[("10.0.0.2", "ready here")])],
            [2, 0],
        ),
        (
            "each family its own: a pod of both is one in each",
            &[
                (HTTP, &[("10.0.0.1", "ready here")]),
                (HTTP, &[("fd00::1", "ready here"), ("fd00::2", "ready here")]),
            ],
            [1, 2],
        ),
        (
            "the port numbers of slices do not matter",
            &[(HTTP, &[("10.0.0.1", "ready here")]), (&[("http", Tcp, 9090)], &[("10.0.0.1", "ready here")])],
            [1, 0],
        ),
        (
            "no endpoint of a port that the Service has not",
            &[(&[("http", Udp, 8080), ("admin", Tcp, 8080)], &[("10.0.0.1", "ready here")])],
            [0, 0],
        ),
        (
            "the entry of this node before one of another, then the ready one",
            &[
                (HTTP, &[("10.0.0.1", "draining here"), ("10.0.0.2", "draining here")]),
                (HTTP, &[("10.0.0.1", "ready"), ("10.0.0.2", "ready here")]),
            ],
            [1, 0],
        ),
    ];
    for (rule, slices, [v4, v6]) in table {
        let found = select(&service(BOTH), slices);
        assert_eq!(found, Some(HealthCheck { port: 32_000, ready: [Some(v4), Some(v6)] }), "{rule}");
    }
}

#[test]
fn a_family_that_ignores_the_service_has_no_health_check() {
    let slices: &[Slice<'_>] = &[(HTTP, &[("10.0.0.1", "ready here")]), (HTTP, &[("fd00::1", "ready here")])];
    let ready = |service: &Service| select(service, slices).map(|check| check.ready);
    assert_eq!(ready(&service(&["10.96.0.10"])), Some([Some(1), None]));
    assert_eq!(ready(&service(&["fd00:96::10"])), Some([None, Some(1)]));
    assert_eq!(ready(&service(&[])), None);
    for ignored in [
        Service { headless: true, ..service(BOTH) },
        Service { foreign_proxy: true, ..service(BOTH) },
        Service { ports: Vec::new(), ..service(BOTH) },
        Service { kind: ServiceType::NodePort, ..service(BOTH) },
        Service { external_policy: TrafficPolicy::Cluster, ..service(BOTH) },
        Service { health_check_node_port: None, ..service(BOTH) },
    ] {
        assert_eq!(select(&ignored, slices), None, "{ignored:?}");
    }
}

#[test]
fn addresses_come_in_their_order_or_they_would_count_twice() {
    let endpoints: Vec<(String, &str)> =
        (0..40).map(|n: u8| (Ipv4Addr::new(10, 0, 0, 100 - n % 20).to_string(), "ready here")).collect();
    let endpoints: Vec<_> = endpoints.iter().map(|(address, words)| (address.as_str(), *words)).collect();
    let (one, other) = endpoints.split_at(25);
    let found = select(&service(BOTH), &[(HTTP, one), (DNS, other)]).unwrap();
    assert_eq!(found.ready(Family::V4), Some(20));
}
