//! `shunt::explain` over the tables of a cluster that has one of everything: every verdict, and the rule that
//! each reason names. The whole listing is a golden file.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "manifests")]

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
    writer::{Capacities, MapReader as _, MemoryMaps},
};
use std::{fmt::Write as _, fs, net::IpAddr, path::PathBuf};

fn golden(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// The maps of node n1.
fn cluster(rules: Rules) -> MemoryMaps {
    let (_, changes) = ManifestSet::load([golden("cluster.yaml")]).unwrap();
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
    ("Nothing is ready", &[("10.96.0.40:80", "pod"), ("10.96.0.70:80", "pod"), ("192.0.2.1:30070", "node")]),
    ("Topology", &[("10.96.0.50:80", "pod"), ("10.96.0.55:80", "pod")]),
    ("Session affinity", &[("10.96.0.60:80", "external:198.51.100.7")]),
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
                let _ = writeln!(text, "    {picked} of {}; address {address:?}", all.join(" "));
            }
            let _ = writeln!(text, "    {}", answer.reason);
        }
        text.push('\n');
    }
    text
}

#[test]
fn every_verdict_names_its_rule() {
    let path = golden("explain.txt");
    let said = listing(&cluster(Rules::default()));
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, wanted, "{}: if this is meant, write the output there", path.display());
}

#[test]
fn a_copy_of_the_maps_gives_the_same_answers() {
    let maps = cluster(Rules::default());
    assert_eq!(listing(&MemoryMaps::copy_of(&maps).unwrap()), listing(&maps));
}

#[test]
fn explain_writes_nothing_but_an_affinity() {
    let maps = cluster(Rules::default());
    let before = decode(&maps).unwrap();
    listing(&maps);
    assert_eq!(decode(&maps).unwrap(), before);
}
