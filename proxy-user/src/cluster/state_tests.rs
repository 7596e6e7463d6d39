//! What makes a service dirty, what does not, and what is left when everything is gone.

use super::*;
use crate::model::{Endpoint, EndpointSlice, Protocol, SlicePort};
use std::net::Ipv4Addr;

const HERE: &str = "node-a";

fn name(name: &str) -> ObjectName {
    ObjectName::new("shop", name)
}

fn service(text: &str) -> Service {
    Service::cluster_ip(name(text), vec![])
}

/// A slice of `service` with hints for `zone-a`.
fn slice(text: &str, service: &str, pods: &[u8]) -> EndpointSlice {
    let endpoint = |pod: &u8| Endpoint {
        zone_hints: vec!["zone-a".into()],
        ..Endpoint::ready(Ipv4Addr::new(10, 244, 0, *pod).into())
    };
    EndpointSlice {
        name: name(text),
        service: service.into(),
        family: Family::V4,
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: pods.iter().map(endpoint).collect(),
    }
}

fn node(zone: Option<&str>, addresses: &[&str]) -> Node {
    Node {
        name: HERE.into(),
        zone: zone.map(SmolStr::new),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        ..Node::default()
    }
}

/// Names of the services that are dirty; they are not after.
fn dirty(cluster: &mut Cluster) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(id) = cluster.next_dirty() {
        names.push(cluster.service(id).unwrap().name.name.to_string());
    }
    names.sort_unstable();
    names
}

/// Services `open` and `ranged`, which has source ranges, and a slice of each; nothing is dirty.
fn two_services() -> Cluster {
    let mut cluster = Cluster::new(HERE);
    let ranged = Service { source_ranges: vec!["10.0.0.0/8".parse().unwrap()], ..service("ranged") };
    cluster.apply(Event::ServiceApplied(service("open")));
    cluster.apply(Event::ServiceApplied(ranged));
    cluster.apply(Event::SliceApplied(slice("open-1", "open", &[1, 2])));
    cluster.apply(Event::SliceApplied(slice("ranged-1", "ranged", &[3])));
    assert_eq!(dirty(&mut cluster), ["open", "ranged"]);
    cluster
}

#[test]
fn another_zone_of_this_node_concerns_every_service() {
    let mut cluster = two_services();
    let both = ["open", "ranged"];
    let steps: [(&str, Event, &[&str]); 8] = [
        ("a node without zone, as before it was known", Event::NodeApplied(node(None, &[])), &[]),
        ("the label arrives late", Event::NodeApplied(node(Some("zone-a"), &[])), &both),
        ("the same again", Event::NodeApplied(node(Some("zone-a"), &[])), &[]),
        ("another zone", Event::NodeApplied(node(Some("zone-b"), &[])), &both),
        (
            "another node's zone",
            Event::NodeApplied(Node { name: "node-b".into(), ..node(Some("zone-c"), &[]) }),
            &[],
        ),
        ("another node is gone", Event::NodeDeleted("node-b".into()), &[]),
        ("this node's object is gone, and its labels with it", Event::NodeDeleted(HERE.into()), &both),
        ("and it is gone", Event::NodeDeleted(HERE.into()), &[]),
    ];
    for (what, event, expected) in steps {
        cluster.apply(event);
        assert_eq!(dirty(&mut cluster), expected, "{what}");
    }
}

#[test]
fn another_primary_address_concerns_services_with_source_ranges() {
    let mut cluster = two_services();
    let steps: [(&str, &[&str], &[&str]); 5] = [
        ("the addresses arrive", &["192.168.0.7"], &["ranged"]),
        ("the same again", &["192.168.0.7"], &[]),
        ("a second one of the family is not primary", &["192.168.0.7", "192.168.0.8"], &[]),
        ("one of the other family is", &["192.168.0.7", "fd00::7"], &["ranged"]),
        ("the primary one moves", &["192.168.0.9", "fd00::7"], &["ranged"]),
    ];
    for (what, addresses, expected) in steps {
        cluster.apply(Event::NodeApplied(node(None, addresses)));
        assert_eq!(dirty(&mut cluster), expected, "{what}");
    }
}

#[test]
fn what_is_no_change_makes_nothing_dirty() {
    let mut cluster = two_services();
    let unsorted = slice("open-1", "open", &[2, 1]);
    let mut other_hints = slice("open-1", "open", &[1, 2]);
    other_hints.endpoints[1].zone_hints.push("zone-b".into());
    let mut other_port = other_hints.clone();
    other_port.ports[0].port = 9090;
    let steps: [(&str, Event, &[&str]); 7] = [
        ("a Service again", Event::ServiceApplied(service("open")), &[]),
        ("a slice again", Event::SliceApplied(slice("open-1", "open", &[1, 2])), &[]),
        ("the order of a slice", Event::SliceApplied(unsorted), &[]),
        ("its hints", Event::SliceApplied(other_hints), &["open"]),
        ("its port", Event::SliceApplied(other_port), &["open"]),
        ("its service", Event::SliceApplied(slice("open-1", "ranged", &[1, 2])), &["open", "ranged"]),
        ("a slice that nobody knows is gone", Event::SliceDeleted(name("other")), &[]),
    ];
    for (what, event, expected) in steps {
        cluster.apply(event);
        assert_eq!(dirty(&mut cluster), expected, "{what}");
    }
}

#[test]
fn nothing_is_left_of_what_is_gone() {
    let mut cluster = two_services();
    cluster.apply(Event::SliceApplied(slice("open-1", "open", &[1, 9])));
    cluster.apply(Event::SliceApplied(slice("open-2", "open", &[4, 5])));
    cluster.apply(Event::SliceApplied(slice("stray", "unknown", &[6])));
    cluster.apply(Event::SliceApplied(slice("open-1", "unknown", &[1])));
    for slice in ["open-1", "open-2", "ranged-1", "stray"] {
        cluster.apply(Event::SliceDeleted(name(slice)));
    }
    for service in ["open", "ranged"] {
        cluster.apply(Event::ServiceDeleted(name(service)));
    }
    while let Some(id) = cluster.next_dirty() {
        assert!(cluster.forget(id));
    }
    assert!(cluster.is_empty());
}

#[test]
fn endpoints_of_all_slices_by_address_whatever_came_first() {
    let slices = [slice("b", "web", &[2, 4]), slice("a", "web", &[4, 3]), slice("c", "web", &[1])];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut cluster = Cluster::new(HERE);
        cluster.apply(Event::SliceApplied(slice("gone", "web", &[1, 7])));
        order.iter().for_each(|place| cluster.apply(Event::SliceApplied(slices[*place].clone())));
        cluster.apply(Event::SliceDeleted(name("gone")));
        let id = cluster.next_dirty().unwrap();
        let known = cluster.slices(cluster.service(id).unwrap());
        let names: Vec<_> = known.iter().map(|slice| slice.name.name.as_str()).collect();
        let listed = known.endpoints().iter();
        let listed: Vec<_> =
            listed.map(|e| (e.endpoint.address.to_ip().to_string(), names[e.slice as usize])).collect();
        let expected = [(1, "c"), (2, "b"), (3, "a"), (4, "a"), (4, "b")];
        assert_eq!(listed, expected.map(|(pod, slice)| (format!("10.244.0.{pod}"), slice)), "{order:?}");
    }
}

#[test]
fn what_surrounds_services() {
    let mut cluster = Cluster::new(HERE);
    let cidr = |cidr: &str| ServiceCidr { name: "kubernetes".into(), cidrs: vec![cidr.parse().unwrap()] };
    assert_eq!((cluster.local_addresses(), cluster.service_cidrs().count()), (None, 0));
    cluster.apply(Event::ServiceCidrApplied(cidr("10.96.0.0/16")));
    cluster.apply(Event::ServiceCidrApplied(cidr("10.96.0.0/12")));
    cluster.apply(Event::ServiceCidrApplied(ServiceCidr { name: "more".into(), ..cidr("fd00::/112") }));
    let mut texts: Vec<_> = cluster.service_cidrs().map(ToString::to_string).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["10.96.0.0/12", "fd00::/112"]);
    cluster.apply(Event::ServiceCidrDeleted("kubernetes".into()));
    assert_eq!(cluster.service_cidrs().count(), 1);
    cluster.apply(Event::LocalAddresses(vec![]));
    assert_eq!(cluster.local_addresses(), Some(&[][..]), "a node without addresses is known to have none");
    assert_eq!(cluster.pending(), 0);
}
