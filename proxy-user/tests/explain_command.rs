//! `shunt explain` as an operator runs it: offline on manifests, live on pinned maps, its exit codes, and what it
//! says on standard error.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "agent")]

mod command;
#[allow(dead_code)] // only the path is used here
mod golden;

use command::{Said, Site, said, shunt, skipped, wait_until};
use proxy_common::abi::{ABI_VERSION, AffinityClient, AffinityEntry, AffinityKey};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use shunt::{
    kernel::Kernel,
    lab::{Namespace, Process},
    view::decode,
    writer::MapReader as _,
};
use std::{collections::BTreeSet, fs, net::IpAddr, path::Path, process::Stdio};
use zerocopy::IntoBytes as _;

fn cluster() -> String {
    golden::path("cluster.yaml").to_str().unwrap().to_owned()
}

/// Asks about the manifests, which node n1 would program.
fn offline(args: &[&str]) -> Said {
    said(&[&["explain"], args, &["--manifests", &cluster(), "--node", "n1"]].concat())
}

fn json(said: &Said) -> Value {
    assert_eq!(said.code, Some(0), "{}", said.err);
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn an_answer_for_people_has_the_verdict_first_and_only_what_there_is() {
    let forward = offline(&["10.96.0.30:80", "--from", "pod"]);
    assert_eq!((forward.code, forward.err.as_str()), (Some(0), ""));
    assert_eq!(
        forward.out,
        "verdict    forward\n\
         service    default/near:http\n\
         frontend   ClusterIP 10.96.0.30:80\n\
         endpoints  10.244.1.31:8080\n\
         picked     10.244.1.31:8080\n\
         address    kept: the endpoint sees the client's own\n\
         reason     internalTrafficPolicy is Local: usable endpoints on this node only.\n"
    );
    let pass = offline(&["1.1.1.1:443"]);
    assert_eq!((pass.code, pass.err.as_str()), (Some(0), ""));
    assert_eq!(pass.out, "verdict    pass\nreason     No Service has the address 1.1.1.1.\n");
}

#[test]
fn an_answer_for_programs_is_one_object() {
    let answer = json(&offline(&["192.0.2.1:30080", "--from", "node", "-o", "json"]));
    let keys: BTreeSet<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = ["verdict", "service", "frontend", "endpoints", "picked", "client_address", "reason"];
    assert_eq!(keys, BTreeSet::from(wanted));
    assert_eq!(answer["verdict"], "forward");
    assert_eq!(answer["frontend"], json!({"kind": "NodePort", "address": "*", "port": 30080}));
    assert_eq!(answer["endpoints"], json!(["10.244.1.11:8080", "10.244.2.12:8080"]));
    assert!(answer["endpoints"].as_array().unwrap().contains(&answer["picked"]));
}

#[test]
fn who_asks_is_the_node_and_the_protocol_tcp_unless_said_otherwise() {
    let verdict = |args: &[&str]| json(&offline(&[args, &["-o", "json"]].concat()))["verdict"].clone();
    assert_eq!(verdict(&["127.0.0.1:30080"]), "forward");
    assert_eq!(verdict(&["127.0.0.1:30080", "--from", "node"]), "forward");
    assert_eq!(verdict(&["127.0.0.1:30080", "--from", "pod"]), "pass");
    assert_eq!(verdict(&["10.96.0.10:53"]), "reject");
    assert_eq!(verdict(&["10.96.0.10:53/tcp"]), "reject");
    assert_eq!(verdict(&["10.96.0.10:53/UDP"]), "forward");
}

#[test]
fn every_endpoint_is_picked_by_chance() {
    let mut picked = BTreeSet::new();
    // Two endpoints: that one is never picked in 64 tries happens once in 2^63 times.
    for _ in 0..64 {
        let answer = json(&offline(&["10.96.0.10:80", "-o", "json"]));
        picked.insert(answer["picked"].as_str().unwrap().to_owned());
        if picked.len() == 2 {
            break;
        }
    }
    assert_eq!(picked.into_iter().collect::<Vec<_>>(), ["10.244.1.11:8080", "10.244.2.12:8080"]);
}

#[test]
fn an_operators_rules_are_heeded() {
    let verdict = |args: &[&str]| json(&offline(&[args, &["-o", "json"]].concat()))["verdict"].clone();
    assert_eq!(verdict(&["192.0.2.101:30080"]), "pass");
    assert_eq!(verdict(&["192.0.2.101:30080", "--nodeport-addresses", "all"]), "forward");
    assert_eq!(verdict(&["192.0.2.101:30080", "--nodeport-addresses", "192.0.2.100/30,fd00::/8"]), "forward");
    assert_eq!(verdict(&["192.0.2.1:30080", "--nodeport-addresses", "192.0.2.100/30,fd00::/8"]), "pass");
    assert_eq!(verdict(&["127.0.0.1:30080", "--localhost-nodeports", "false"]), "pass");
    assert_eq!(verdict(&["198.51.100.10:80"]), "forward");
    assert_eq!(verdict(&["198.51.100.10:80", "--external-ips", "false"]), "pass");
    let zone_b = json(&offline(&["10.96.0.50:80", "--zone", "zone-b", "-o", "json"]));
    assert_eq!(zone_b["endpoints"], json!(["10.244.3.52:8080"]));
}

#[test]
fn what_does_not_fit_together_is_warned_of() {
    let doubted = offline(&["10.96.0.10:80", "--from", "pod:192.0.2.1"]);
    assert_eq!((doubted.code, doubted.err.lines().count()), (Some(0), 1), "{}", doubted.err);
    assert!(doubted.err.contains("192.0.2.1 belongs to this node itself"), "{}", doubted.err);
    let rivals = json(&offline(&["198.51.100.10:80", "-o", "json"]));
    let reason = rivals["reason"].as_str().unwrap();
    assert!(reason.contains("default/young:http TCP IPv4 claims this frontend too"), "{reason}");
}

#[test]
fn a_broken_document_is_exit_code_1_and_the_rest_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("broken.yaml");
    fs::write(&path, format!("{}---\n{{", fs::read_to_string(cluster()).unwrap())).unwrap();
    let said = said(&["explain", "10.96.0.30:80", "--manifests", path.to_str().unwrap(), "--node", "n1"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.out.starts_with("verdict    forward\n"), "{}", said.out);
    assert!(said.err.contains("broken.yaml, document"), "{}", said.err);
}

#[test]
fn wrong_usage_is_exit_code_2_and_says_what_to_do() {
    let manifests = cluster();
    let with = |args: &[&'static str]| [&["explain"], args].concat();
    for (args, text) in [
        (with(&["10.96.0.10"]), "the port is missing: 10.96.0.10:80"),
        (with(&["fd00::1"]), "the port is missing: [fd00::1]:80"),
        (with(&["web:80"]), "a name is not looked up"),
        (with(&["10.96.0.10:80/icmp"]), "none of tcp, udp and sctp"),
        (with(&["10.96.0.10:80", "--from", "world"]), "none of pod, node and external"),
        (
            with(&["[fd00::1]:80", "--from", "pod:10.0.0.1"]),
            "one is an IPv4 address, the other an IPv6 address",
        ),
        (with(&["10.96.0.10:80", "--zone", "a"]), "--manifests <PATH>..."),
        (with(&["10.96.0.10:80", "--nodeport-addresses", "all"]), "--manifests <PATH>..."),
        ([&with(&["10.96.0.10:80"])[..], &["--manifests", &manifests]].concat(), "--node <NAME>"),
        (
            [&with(&["10.96.0.10:80", "--pin-path", "/x", "--node", "n"])[..], &["--manifests", &manifests]]
                .concat(),
            "cannot be used with",
        ),
        (
            [&with(&["10.96.0.10:80", "--node", "n"])[..], &["--manifests", "/no/such"]].concat(),
            "/no/such: stat",
        ),
    ] {
        let said = said(&args);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(said.err.contains(text), "{args:?}: {}", said.err);
    }
}

#[test]
fn a_node_name_in_the_environment_does_not_ask_for_manifests() {
    let mut command = shunt(&["explain", "10.96.0.10:80", "--pin-path", "/no/such/pins"]);
    let said: Said = command.env("NODE_NAME", "n1").output().unwrap().into();
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert!(said.err.contains("/no/such/pins"), "{}", said.err);
}

#[test]
fn without_an_agent_it_says_how_to_get_an_answer() {
    if skipped() {
        return;
    }
    let site = Site::new();
    let said = said(&["explain", "10.96.0.10:80", "--pin-path", &site.pins()]);
    assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (Some(2), "", 1), "{}", said.err);
    for text in ["no agent has used this pin path", "shunt run", "--pin-path", "--manifests"] {
        assert!(said.err.contains(text), "{text:?} is not in: {}", said.err);
    }
}

#[test]
fn live_it_answers_from_the_pinned_maps_what_it_answers_offline() {
    if skipped() {
        return;
    }
    let site = Site::new();
    site.save("all.yaml", &fs::read_to_string(cluster()).unwrap().replace("n1", "lab-node"));
    let path = site.manifests().to_str().unwrap().to_owned();
    let manifests = ["--manifests", &path, "--node", "lab-node", "--log", "error"];
    let mut agent = site.start(&site.manifests(), &[]);
    agent.wait_for("ready: ");
    let plan = said(&[&["plan", "-o", "json"], &manifests[..]].concat());
    assert_eq!(site.dump(), plan.out);

    // Each has at most one endpoint, or none: chance has no say.
    let pins = site.pins();
    for question in [
        &["10.96.0.30:80", "--from", "pod"][..],
        &["10.96.0.10:81"],
        &["10.96.0.70:80"],
        &["10.96.0.20:443", "--from", "node"],
        &["10.96.0.55:80"],
        &["192.0.2.1:30090", "--from", "external:198.51.100.7"],
        &["[2001:db8::1]:30080", "--from", "external:2001:db8:9::9"],
        &["203.0.113.20:443", "--from", "external:203.0.113.99"],
        &["203.0.113.20:443", "--from", "pod"],
        &["10.96.200.200:80"],
        &["192.0.2.101:30080"],
        &["127.0.0.1:30999"],
        &["1.1.1.1:443"],
    ] {
        let live = said(&[&["explain", "--log", "error", "--pin-path", &pins], question].concat());
        let offline = said(&[&["explain"], question, &manifests[..]].concat());
        assert_eq!((live.code, live.out, live.err), (Some(0), offline.out, offline.err), "{question:?}");
    }
    assert_eq!(agent.stop().code(), Some(0));
}

#[test]
fn live_it_heeds_what_the_kernel_remembers_of_a_client() {
    if skipped() {
        return;
    }
    let site = Site::new();
    site.save("all.yaml", &fs::read_to_string(cluster()).unwrap().replace("n1", "lab-node"));
    let agent = site.start(&site.manifests(), &[]);
    let maps = Kernel::read_only(Path::new(&site.pins())).unwrap();
    let sticky = decode(&maps).unwrap().into_iter().find(|p| p.id.as_ref().unwrap().service.name == "sticky");
    let (index, client) = (sticky.unwrap().index, "198.51.100.7");
    let key = AffinityKey {
        client: AffinityClient::address(client.parse::<IpAddr>().unwrap().into()),
        service: index,
    };
    let pin = Path::new(&site.pins()).join(format!("v{ABI_VERSION}/maps/AFFINITY"));
    let map = aya::maps::Map::LruHashMap(aya::maps::MapData::from_pin(pin).unwrap());
    let mut affinities: aya::maps::HashMap<_, [u8; 24], [u8; 16]> = map.try_into().unwrap();
    let now = clock_gettime(ClockId::Monotonic);
    let set = maps.service(index).unwrap().cluster;
    for slot in set.base()..set.base() + set.count() {
        let backend = maps.slot(slot).unwrap();
        let entry = AffinityEntry { backend, last_flow: now.tv_sec as u64 * 1_000_000_000 };
        let (key, value): ([u8; 24], [u8; 16]) =
            (key.as_bytes().try_into().unwrap(), entry.as_bytes().try_into().unwrap());
        affinities.insert(key, value, 0).unwrap();
        let args = ["explain", "10.96.0.60:80", "--pin-path", &site.pins(), "-o", "json"];
        let answer = json(&said(&[&args[..], &["--from", &format!("external:{client}")]].concat()));
        let address = maps.backend(backend.index()).unwrap().address.to_ip();
        assert_eq!(answer["picked"], format!("{address}:8080"));
        assert!(answer["reason"].as_str().unwrap().contains("went to the picked one"), "{answer}");
    }
    assert_eq!(agent.stop().code(), Some(0));
}

#[test]
fn node_ports_answer_on_an_interfaces_address_for_as_long_as_it_is_there() {
    if skipped() {
        return;
    }
    let (site, node) = (Site::new(), Namespace::new("node").unwrap());
    site.save("all.yaml", &fs::read_to_string(cluster()).unwrap().replace("n1", "lab-node"));
    let mut command = site.run(&site.manifests(), &["--nodeport-addresses", "all"]);
    node.enter_command(&mut command);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _agent = Process::start(&mut command).unwrap();
    let verdict = || {
        let said = said(&["explain", "192.0.2.77:30080", "--pin-path", &site.pins(), "-o", "json"]);
        // Before the agent has made its maps there is no answer.
        if said.code == Some(0) { json(&said)["verdict"].clone() } else { Value::Null }
    };
    wait_until("the agent runs", || verdict() == "pass");
    node.add_address("lo", "192.0.2.77".parse().unwrap(), 32).unwrap();
    wait_until("the address answers", || verdict() == "forward");
    node.remove_address("lo", "192.0.2.77".parse().unwrap(), 32).unwrap();
    wait_until("it does not any more", || verdict() == "pass");
}
