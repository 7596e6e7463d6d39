//! The two endpoint sets as tables: what the rule says, the endpoints, and which of them each set holds.

use super::*;
use crate::{
    cluster::Cluster,
    model::{Conditions, Endpoint, EndpointSlice, Event, Node, ObjectName, Protocol, Service, SlicePort},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HERE: &str = "node-a";
const ZONE: &str = "zone-a";

/// An endpoint in words: `ready` or not (`draining` serves while it terminates, `ended` does not, `starting` is
/// neither), `here` if it runs on this node, and hints: `this-node`, `other-node`, `this-zone`, `other-zone`.
fn endpoint(address: impl Into<IpAddr>, words: &str) -> Endpoint {
    let has = |word: &str| words.split(' ').any(|other| other == word);
    let hints = |names: [(&str, &str); 2]| {
        names.into_iter().filter(|(word, _)| has(word)).map(|(_, name)| name.into()).collect()
    };
    Endpoint {
        address: address.into(),
        conditions: Conditions {
            ready: has("ready"),
            serving: has("ready") || has("draining"),
            terminating: has("draining") || has("ended"),
        },
        node: Some(if has("here") { HERE } else { "node-b" }.into()),
        zone_hints: hints([("this-zone", ZONE), ("other-zone", "zone-b")]),
        node_hints: hints([("this-node", HERE), ("other-node", "node-b")]),
    }
}

fn pod(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 244, 0, number as u8)
}

fn slice(name: &str, port: SlicePort, endpoints: Vec<Endpoint>) -> EndpointSlice {
    EndpointSlice {
        name: ObjectName::new("shop", name),
        service: "web".into(),
        family: Family::V4,
        ports: vec![port],
        endpoints,
    }
}

fn http(port: u16) -> SlicePort {
    SlicePort { name: "http".into(), protocol: Protocol::Tcp, port }
}

fn service_port() -> ServicePort {
    ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: None }
}

/// What is selected for the port `http` in a zone of this name.
fn select(zone: &str, family: Family, slices: &[EndpointSlice]) -> Vec<Member> {
    let mut cluster = Cluster::new(HERE);
    let service = Service::cluster_ip(ObjectName::new("shop", "web"), vec![]);
    cluster.apply(Event::ServiceApplied(service));
    slices.iter().cloned().for_each(|slice| cluster.apply(Event::SliceApplied(slice)));
    let zone = Some(zone.into()).filter(|_| !zone.is_empty());
    cluster.apply(Event::NodeApplied(Node { name: HERE.into(), zone, ..Node::default() }));
    let id = cluster.next_dirty().unwrap();
    let slices = cluster.slices(cluster.service(id).unwrap());
    let (mut usable, mut members) = (Vec::new(), Vec::new());
    select_endpoints(&service_port(), family, slices, cluster.hints(), &mut usable, &mut members);
    assert!(members.is_sorted_by(|one, other| one.key() < other.key()), "{members:?}");
    members
}

/// The places of the usable endpoints, and of those in the cluster set and in the local set.
fn sets(zone: &str, endpoints: &[&str]) -> [Vec<usize>; 3] {
    let listed = endpoints.iter().enumerate().map(|(place, words)| endpoint(pod(place), words)).collect();
    let members = select(zone, Family::V4, &[slice("web-1", http(8080), listed)]);
    let places = |is_in: fn(&Member) -> bool| {
        let member = |place: &usize| {
            members.iter().find(|member| member.address == pod(*place).into()).is_some_and(is_in)
        };
        (0..endpoints.len()).filter(member).collect()
    };
    [places(|_| true), places(|member| member.sets.cluster), places(|member| member.sets.local)]
}

/// Rules in words, the endpoints, and the places of those that a set holds.
type Table<'a> = &'a [(&'a str, &'a [&'a str], &'a [usize])];

fn cluster_sets(table: Table<'_>) {
    for (rule, endpoints, expected) in table {
        assert_eq!(sets(ZONE, endpoints)[1], *expected, "{rule}");
    }
}

#[test]
fn usable_is_what_is_ready_or_serves_while_it_terminates() {
    let endpoints = ["ready", "draining", "ended", "starting", "ready here", "draining here"];
    let [usable, cluster, local] = sets(ZONE, &endpoints);
    assert_eq!(usable, [0, 1, 4, 5], "also what is in neither set");
    assert_eq!((cluster, local), (vec![0, 4], vec![4]));
    assert_eq!(sets(ZONE, &["ended", "starting here"]), [[0; 0], [0; 0], [0; 0]]);
}

#[test]
fn cluster_set_ready_then_serving_and_terminating() {
    cluster_sets(&[
        ("no endpoints, an empty set", &[], &[]),
        ("ready endpoints, wherever they run", &["ready here", "ready"], &[0, 1]),
        ("ready ones are never mixed with terminating ones", &["ready", "draining", "draining here"], &[0]),
        ("if none is ready, all that serve while they terminate", &["draining", "draining here"], &[0, 1]),
        ("what does not serve is never used", &["ended", "draining", "starting"], &[1]),
    ]);
}

#[test]
fn cluster_set_node_hints_then_zone_hints_then_none() {
    cluster_sets(&[
        ("zone hints keep traffic in the zone", &["ready this-zone", "ready other-zone"], &[0]),
        ("node hints keep traffic on the node", &["ready this-node", "ready other-node"], &[0]),
        (
            "node hints come before zone hints",
            &["ready this-node other-zone", "ready other-node this-zone"],
            &[0],
        ),
        (
            "if no node hint names this node, zone hints decide",
            &["ready other-node this-zone", "ready other-node other-zone"],
            &[0],
        ),
        (
            "one ready endpoint without node hints turns node hints off, not zone hints",
            &["ready this-node this-zone", "ready this-zone", "ready other-zone"],
            &[0, 1],
        ),
        (
            "one ready endpoint without hints turns them off",
            &["ready this-zone", "ready other-zone", "ready"],
            &[0, 1, 2],
        ),
        ("hints for other zones alone are none", &["ready other-zone", "ready other-zone"], &[0, 1]),
        ("hints for other nodes alone are none", &["ready other-node", "ready other-node"], &[0, 1]),
        ("an endpoint may be for several zones", &["ready this-zone other-zone", "ready other-zone"], &[0]),
        ("where an endpoint runs is no hint", &["ready here other-zone", "ready this-zone"], &[1]),
    ]);
}

#[test]
fn only_ready_endpoints_are_asked_for_hints() {
    cluster_sets(&[
        (
            "a terminating one without hints turns nothing off",
            &["ready this-zone", "ready other-zone", "draining"],
            &[0],
        ),
        (
            "a terminating one for this zone is no reason to prefer the zone",
            &["ready other-zone", "draining this-zone"],
            &[0],
        ),
        (
            "if none is ready, hints are ignored",
            &["draining this-node this-zone", "draining other-node other-zone"],
            &[0, 1],
        ),
    ]);
}

#[test]
fn zone_hints_mean_nothing_to_a_node_without_zone() {
    let endpoints = ["ready this-zone", "ready other-zone"];
    assert_eq!(sets("", &endpoints)[1], [0, 1]);
    assert_eq!(sets("zone-b", &endpoints)[1], [1]);
    assert_eq!(sets("zone-c", &endpoints)[1], [0, 1]);
}

#[test]
fn local_set_of_this_nodes_endpoints_alone() {
    let table: Table<'_> = &[
        ("no endpoints, an empty set", &[], &[]),
        ("endpoints of other nodes never count", &["ready", "draining"], &[]),
        ("ready ones of this node", &["ready here", "ready", "ready here"], &[0, 2]),
        ("never mixed with terminating ones", &["ready here", "draining here"], &[0]),
        ("if none here is ready, those here that drain", &["draining here", "draining"], &[0]),
        ("even if others are ready elsewhere", &["draining here", "ready"], &[0]),
        ("hints never touch it", &["ready here other-node other-zone", "ready this-node this-zone"], &[0]),
        ("what does not serve is never used", &["ended here", "starting here"], &[]),
    ];
    for (rule, endpoints, expected) in table {
        assert_eq!(sets(ZONE, endpoints)[2], *expected, "{rule}");
    }
}

#[test]
fn an_endpoint_without_node_name_is_never_local() {
    let anonymous = Endpoint { node: None, ..endpoint(pod(1), "ready") };
    let members = select(ZONE, Family::V4, &[slice("web-1", http(8080), vec![anonymous])]);
    assert_eq!((members[0].sets.cluster, members[0].sets.local), (true, false));
    assert_eq!(members[0].flags, BackendFlags::default());
}

#[test]
fn slices_join_by_port_name_and_protocol_never_by_number() {
    let port = |name: &str, protocol, port| SlicePort { name: name.into(), protocol, port };
    let slices = [
        slice("a", port("http", Protocol::Tcp, 8080), vec![endpoint(pod(1), "ready")]),
        slice("b", port("http", Protocol::Tcp, 9090), vec![endpoint(pod(2), "ready")]),
        slice("c", port("http", Protocol::Udp, 80), vec![endpoint(pod(3), "ready")]),
        slice("d", port("web", Protocol::Tcp, 80), vec![endpoint(pod(4), "ready")]),
        slice("e", port("", Protocol::Tcp, 80), vec![endpoint(pod(5), "ready")]),
    ];
    assert_eq!(texts(&select(ZONE, Family::V4, &slices)), ["10.244.0.1:8080", "10.244.0.2:9090"]);
}

#[test]
fn families_are_apart() {
    let v6 = EndpointSlice {
        family: Family::V6,
        ..slice(
            "v6",
            http(8080),
            vec![endpoint(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), "ready"), endpoint(pod(9), "ready")],
        )
    };
    let slices = [slice("v4", http(8080), vec![endpoint(pod(1), "ready")]), v6];
    assert_eq!(texts(&select(ZONE, Family::V4, &slices)), ["10.244.0.1:8080"]);
    assert_eq!(texts(&select(ZONE, Family::V6, &slices)), ["[fd00::1]:8080"], "and none of another family");
}

#[test]
fn one_address_may_listen_on_several_ports() {
    let slices = [9090, 80, 8080].map(|port| {
        slice(&format!("on-{port}"), http(port), vec![endpoint(pod(1), "ready"), endpoint(pod(2), "ready")])
    });
    let mut expected: Vec<_> =
        ["1:80", "1:8080", "1:9090", "2:80", "2:8080", "2:9090"].map(|end| format!("10.244.0.{end}")).into();
    let mut found = texts(&select(ZONE, Family::V4, &slices));
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// Of two entries for one endpoint, in the slices `a` and `b`, one counts, whichever comes first.
#[test]
fn an_endpoint_in_two_slices_counts_once() {
    let table = [
        ("a local entry before a ready one", "ready", "draining here", "draining here"),
        ("a local entry before one elsewhere", "ready here", "ready", "ready here"),
        ("a ready one before one that drains", "draining", "ready", "ready"),
        ("a usable one before one that is not", "ended here", "ready", "ready"),
        ("of equal ones the smaller slice name", "ready other-zone", "ready this-zone", "ready other-zone"),
        ("and its hints", "ready this-zone", "ready other-zone", "ready this-zone"),
    ];
    // A third endpoint makes the sets tell which of the two counted.
    let third = || slice("c", http(8080), vec![endpoint(pod(2), "ready here other-zone")]);
    for (rule, a, b, counts) in table {
        let one = |name: &str, words: &str| slice(name, http(8080), vec![endpoint(pod(1), words)]);
        let expected = select(ZONE, Family::V4, &[one("a", counts), third()]);
        for slices in [[one("a", a), one("b", b), third()], [third(), one("b", b), one("a", a)]] {
            assert_eq!(select(ZONE, Family::V4, &slices), expected, "{rule}");
        }
        let twice = slice("a", http(8080), vec![endpoint(pod(1), counts), endpoint(pod(1), counts)]);
        assert_eq!(select(ZONE, Family::V4, &[twice, third()]), expected, "twice in one slice");
    }
}

fn texts(members: &[Member]) -> Vec<String> {
    let text = |m: &Member| std::net::SocketAddr::new(m.address.to_ip(), u16::from_be(m.port)).to_string();
    members.iter().map(text).collect()
}
