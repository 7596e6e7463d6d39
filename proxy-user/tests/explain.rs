//! `shunt::explain` over the tables of a cluster that has one of everything: every verdict, and the rule that
//! each reason names. The whole listing is a golden file.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "manifests")]

mod golden;

use proxy_common::{
    abi::{AffinityClient, AffinityEntry, AffinityKey},
    datapath::Tables as _,
};
use shunt::{
    engine::{Engine, Rules},
    explain::{Answer, ClientAddress, Origin, Question, Verdict, contradiction, explain},
    model::Protocol,
    select::NodePortAddresses,
    source::manifests::ManifestSet,
    view::decode,
    writer::{Capacities, MapReader, MemoryMaps},
};
use std::{fmt::Write as _, net::IpAddr};

/// The maps of node n1.
fn cluster(rules: Rules) -> MemoryMaps {
    let (_, changes) = ManifestSet::load([golden::path("cluster.yaml")]).unwrap();
    assert_eq!(changes.problems, []);
    let mut engine = Engine::new("n1", rules, MemoryMaps::new(&Capacities::default())).unwrap();
    changes.events.into_iter().for_each(|event| engine.apply(event));
    engine.sync().unwrap();
    engine.writer().clone()
}

/// A question as the command line has it.
fn question(destination: &str, from: &str) -> Question {
    let (destination, protocol) = destination.split_once('/').unwrap_or((destination, "tcp"));
    let protocol = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp]
        .into_iter()
        .find(|p| p.to_string().eq_ignore_ascii_case(protocol))
        .unwrap();
    let (origin, source) = from.split_once(':').map_or((from, None), |(o, ip)| (o, Some(ip)));
    let origin = match origin {
        "pod" => Origin::Pod,
        "node" => Origin::Node,
        "external" => Origin::Outside,
        other => panic!("{other}"),
    };
    let source = source.map(|ip| ip.parse().unwrap());
    Question { destination: destination.parse().unwrap(), protocol, origin, source }
}

fn ask(maps: &MemoryMaps, destination: &str, from: &str) -> Answer {
    explain(maps, &question(destination, from)).unwrap()
}

/// What each question of the golden listing is about.
const QUESTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "A ClusterIP, from everywhere",
        &[
            ("10.96.0.10:80", "pod"),
            ("10.96.0.10:80", "node"),
            ("10.96.0.10:80", "external:198.51.100.7"),
            ("[::ffff:10.96.0.10]:80", "pod"),
            ("[fd00:10:96::10]:80", "pod"),
        ],
    ),
    (
        "What a ClusterIP does not serve",
        &[("10.96.0.10:81", "pod"), ("10.96.0.10:53", "pod"), ("[fd00:10:96::10]:53/udp", "pod")],
    ),
    (
        "internalTrafficPolicy: Local",
        &[("10.96.0.30:80", "pod"), ("10.96.0.20:443", "pod"), ("[fd00:10:96::20]:443", "node")],
    ),
    (
        "externalTrafficPolicy",
        &[
            ("198.51.100.10:80", "external:198.51.100.7"),
            ("203.0.113.10:80", "pod"),
            ("192.0.2.1:30090", "external:198.51.100.7"),
            ("192.0.2.1:30090", "pod"),
            ("192.0.2.1:30443", "external:198.51.100.7"),
            ("192.0.2.1:30443", "node"),
        ],
    ),
    (
        "Source ranges",
        &[
            ("203.0.113.20:443", "external:198.51.100.7"),
            ("203.0.113.20:443", "external:203.0.113.99"),
            ("203.0.113.20:443", "external"),
            ("203.0.113.20:443", "pod:10.244.1.5"),
            ("203.0.113.20:443", "node:192.0.2.1"),
            ("203.0.113.20:443", "pod"),
            ("[2001:db8:113::20]:443", "external:2001:db8:9::9"),
        ],
    ),
    (
        "Nothing is ready",
        &[
            ("10.96.0.40:80", "pod"),
            ("10.96.0.35:80", "pod"),
            ("10.96.0.70:80", "pod"),
            ("192.0.2.1:30070", "node"),
        ],
    ),
    ("Topology", &[("10.96.0.50:80", "pod"), ("10.96.0.55:80", "pod")]),
    ("Session affinity", &[("10.96.0.60:80", "external:198.51.100.7"), ("10.96.0.60:80", "pod")]),
    (
        "NodePorts",
        &[
            ("192.0.2.1:30080", "external:198.51.100.7"),
            ("127.0.0.1:30080", "node"),
            ("127.0.0.1:30080", "pod"),
            ("127.0.0.1:30080", "external"),
            ("[::1]:30080", "node"),
            ("127.0.0.1:30999", "node"),
            ("192.0.2.1:30999", "pod"),
            ("192.0.2.101:30080", "pod"),
            ("192.0.2.2:30080", "pod"),
            ("[2001:db8::1]:30080", "external:2001:db8:9::9"),
        ],
    ),
    (
        "What is no Service's",
        &[
            ("198.51.100.10:81", "pod"),
            ("203.0.113.10:81", "external"),
            ("10.96.200.200:80", "pod"),
            ("10.244.1.11:8080", "pod"),
            ("1.1.1.1:443", "pod"),
        ],
    ),
    ("SCTP", &[("10.96.0.80:9999/sctp", "pod")]),
];

fn listing(maps: &MemoryMaps) -> String {
    let mut text = String::new();
    for (about, questions) in QUESTIONS {
        let _ = writeln!(text, "## {about}");
        for (destination, from) in *questions {
            maps.set_random(0);
            let answer = ask(maps, destination, from);
            let frontend = answer.frontend.map(|frontend| format!("{} {frontend}", frontend.kind.name()));
            let _ = writeln!(text, "\n{destination} --from {from}");
            let verdict = [Some(answer.verdict.name().to_owned()), answer.service, frontend];
            let _ = writeln!(text, "    {}", verdict.into_iter().flatten().collect::<Vec<_>>().join("  "));
            if let (Some(picked), Some(address)) = (answer.picked, answer.client_address) {
                let all: Vec<_> = answer.endpoints.iter().map(ToString::to_string).collect();
                let _ = writeln!(
                    text,
                    "    {picked} of {}; client address {}",
                    all.join(" "),
                    format!("{address:?}").to_lowercase()
                );
            }
            let _ = writeln!(text, "    {}", answer.reason);
        }
        text.push('\n');
    }
    text
}

#[test]
fn every_verdict_names_its_rule() {
    golden::compare("explain.txt", &listing(&cluster(Rules::default())));
}

#[test]
fn a_copy_of_the_maps_gives_the_same_answers() {
    let maps = cluster(Rules::default());
    assert_eq!(listing(&MemoryMaps::copy_of(&maps).unwrap()), listing(&maps));
}

#[test]
fn an_answer_is_this_json() {
    let maps = cluster(Rules::default());
    let json = |answer: &Answer| serde_json::to_string(answer).unwrap();
    assert_eq!(
        json(&ask(&maps, "[2001:db8::1]:30080", "external")),
        r#"{"verdict":"forward","service":"default/web:http","#.to_owned()
            + r#""frontend":{"kind":"NodePort","address":"*","port":30080},"#
            + r#""endpoints":["[fd00:10:244:1::11]:8080"],"picked":"[fd00:10:244:1::11]:8080","#
            + r#""client_address":"kept","reason":"2001:db8::1 is an address of this node where NodePorts "#
            + r#"answer. externalTrafficPolicy is Cluster: any usable endpoint of the cluster."}"#
    );
    assert_eq!(
        json(&ask(&maps, "10.96.0.70:80", "pod")),
        r#"{"verdict":"reject","service":"default/empty","#.to_owned()
            + r#""frontend":{"kind":"ClusterIP","address":"10.96.0.70","port":80},"#
            + r#""endpoints":[],"picked":null,"client_address":null,"#
            + r#""reason":"No endpoint of default/empty is usable anywhere in the cluster: none is ready, and "#
            + r#"none serves while it terminates."}"#
    );
    assert_eq!(
        json(&ask(&maps, "1.1.1.1:443", "node")),
        r#"{"verdict":"pass","service":null,"frontend":null,"endpoints":[],"picked":null,"#.to_owned()
            + r#""client_address":null,"reason":"No Service has the address 1.1.1.1."}"#
    );
}

#[test]
fn every_endpoint_is_picked_in_turn() {
    let maps = cluster(Rules::default());
    let mut picked: Vec<_> = (0..100).map(|_| ask(&maps, "10.96.0.10:80", "pod").picked.unwrap()).collect();
    picked.sort_unstable();
    picked.dedup();
    assert_eq!(picked, ask(&maps, "10.96.0.10:80", "pod").endpoints);
}

#[test]
fn a_client_from_outside_keeps_its_address_only_to_endpoints_of_this_node() {
    let maps = cluster(Rules::default());
    for from in ["pod", "node", "external"] {
        for _ in 0..20 {
            let answer = ask(&maps, "203.0.113.10:80", from);
            let here = answer.picked == Some("10.244.1.11:8080".parse().unwrap());
            let kept = from != "external" || here;
            let expected = if kept { ClientAddress::Kept } else { ClientAddress::Node };
            assert_eq!(answer.client_address, Some(expected), "{from} {:?}", answer.picked);
        }
    }
}

#[test]
fn a_client_with_session_affinity_keeps_its_endpoint_and_the_reason_says_so() {
    let maps = cluster(Rules::default());
    maps.set_now(1_000_000_000_000);
    let first = ask(&maps, "10.96.0.60:80", "external:198.51.100.7");
    assert!(first.reason.contains("comes back to the picked one until 600 s"), "{}", first.reason);
    for _ in 0..20 {
        let again = ask(&maps, "10.96.0.60:80", "external:198.51.100.7");
        assert_eq!(again.picked, first.picked);
        assert_eq!(again.endpoints, first.endpoints, "what it could pick without");
        assert!(again.reason.contains("less than 600 s ago, went to the picked one"), "{}", again.reason);
    }
    // An older memory is none, even where chance picks the same endpoint again.
    maps.set_now(1_600_000_000_001);
    let later = ask(&maps, "10.96.0.60:80", "external:198.51.100.7");
    assert!(later.reason.contains("comes back to the picked one"), "{}", later.reason);
}

#[test]
fn what_the_kernel_remembers_of_a_client_is_heeded() {
    let maps = cluster(Rules::default());
    let index = decode(&maps)
        .unwrap()
        .iter()
        .find(|p| p.id.as_ref().unwrap().service.name == "sticky")
        .unwrap()
        .index;
    let client = "198.51.100.7".parse::<IpAddr>().unwrap();
    let key = AffinityKey { client: AffinityClient::address(client.into()), service: index };
    let set = maps.service(index).unwrap().cluster;
    for slot in set.base()..set.base() + set.count() {
        let backend = MapReader::slot(&maps, slot).unwrap();
        maps.remember_affinity(&key, &AffinityEntry { backend, last_flow: 0 }).unwrap();
        let address = MapReader::backend(&maps, backend.index()).unwrap().address.to_ip();
        let answer = ask(&maps, "10.96.0.60:80", "external:198.51.100.7");
        assert_eq!(answer.picked.unwrap().ip(), address);
    }
}

#[test]
fn a_source_address_that_is_somebody_elses_is_doubted() {
    let maps = cluster(Rules::default());
    let doubt = |from| contradiction(&maps, &question("10.96.0.10:80", from)).unwrap_or_default();
    assert!(
        doubt("external:10.244.1.5")
            .contains("belongs to a pod of this node: did you mean --from pod:10.244.1.5?")
    );
    assert!(doubt("node:10.244.1.5").contains("--from pod:10.244.1.5"));
    assert!(doubt("pod:192.0.2.1").contains("belongs to this node itself"));
    assert!(doubt("external:::ffff:192.0.2.1").contains("--from node:192.0.2.1"));
    assert!(doubt("pod:10.96.0.10").contains("ServiceCIDR"));
    for from in
        ["pod:10.244.1.5", "node:192.0.2.1", "external:198.51.100.7", "pod:10.244.2.5", "pod", "external"]
    {
        assert_eq!(doubt(from), "", "{from}");
    }
}

#[test]
fn the_operators_rules_show() {
    let rules = Rules {
        node_ports: NodePortAddresses::All,
        localhost_node_ports: false,
        external_ips: false,
        ..Rules::default()
    };
    let maps = cluster(rules);
    let second = ask(&maps, "192.0.2.101:30080", "pod");
    assert_eq!((second.verdict, second.service.as_deref()), (Verdict::Forward, Some("default/web:http")));
    let localhost = ask(&maps, "127.0.0.1:30080", "node");
    assert_eq!(localhost.verdict, Verdict::Pass);
    assert!(
        localhost.reason.contains("NodePorts do not answer on loopback addresses here"),
        "{}",
        localhost.reason
    );
    let external = ask(&maps, "198.51.100.10:80", "pod");
    assert_eq!(
        (external.verdict, external.reason.as_str()),
        (Verdict::Pass, "No Service has the address 198.51.100.10.")
    );
}

#[test]
fn explain_writes_nothing_but_an_affinity() {
    let maps = cluster(Rules::default());
    let before = decode(&maps).unwrap();
    listing(&maps);
    assert_eq!(decode(&maps).unwrap(), before);
}
