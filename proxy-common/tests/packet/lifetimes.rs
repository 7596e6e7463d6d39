//! How long a flow is remembered, what its end means, and what becomes of it when a memory is lost.

use crate::lab::{Lab, every};
use proxy_common::abi::{Address, BackendEntry, BackendFlags, Counter, FlowEntry, Seen, Tuple};
use std::net::SocketAddr;

const ASK: &str = "192.0.2.9:4000 > 192.0.2.1:30080";
const ANSWER: &str = "10.244.2.5:8080 > 192.0.2.1:50000";

/// Key of an entry of FLOWS: `192.0.2.9:4000 > 192.0.2.1:30080`.
fn key(lab: &Lab, text: &str, protocol: u32) -> Tuple {
    let text = lab.text(text);
    let (source, destination) = text.split_once(" > ").unwrap();
    let [source, destination]: [SocketAddr; 2] = [source, destination].map(|end| end.parse().unwrap());
    Tuple {
        source: Address::from(source.ip()),
        destination: Address::from(destination.ip()),
        source_port: source.port().to_be(),
        destination_port: destination.port().to_be(),
        protocol,
    }
}

fn entry(lab: &Lab, text: &str, protocol: u32) -> Option<FlowEntry> {
    lab.world.flows.borrow().get(&key(lab, text, protocol)).copied()
}

fn forget(lab: &Lab, text: &str, protocol: u32) {
    lab.world.flows.borrow_mut().remove(&key(lab, text, protocol)).unwrap();
}

fn see(lab: &Lab, packets: &[(&str, &str)]) {
    for (ends, packet) in packets {
        let becomes = lab.sees("eth0 in", &format!("{ends} {packet}"));
        assert!(becomes.contains(" via "), "{ends} {packet}: {becomes}");
    }
}

#[test]
fn both_entries_know_what_either_side_has_sent_and_how_long_to_wait_for_more() {
    const ANY: Seen = Seen::ANY;
    const FIN: Seen = Seen::ANY.union(Seen::FIN);
    const RESET: Seen = Seen::ANY.union(Seen::RESET);
    /// Packets, what both sides have sent then, and seconds until the flow is forgotten.
    type Life = (u32, &'static [(&'static str, &'static str, (Seen, Seen), u32)]);
    let lives: [Life; 6] = [
        (
            6,
            &[
                (ASK, "tcp S", (ANY, Seen(0)), 120),
                (ANSWER, "tcp SA", (ANY, ANY), 432_000),
                (ASK, "tcp A", (ANY, ANY), 432_000),
                (ASK, "tcp FA", (FIN, ANY), 120),
                (ANSWER, "tcp A data=9", (FIN, ANY), 120),
                (ANSWER, "tcp FA", (FIN, FIN), 120),
                (ASK, "tcp A", (FIN, FIN), 120),
            ],
        ),
        (6, &[(ASK, "tcp S", (ANY, Seen(0)), 120), (ANSWER, "tcp RA", (ANY, RESET), 10)]),
        (
            6,
            &[
                (ASK, "tcp S", (ANY, Seen(0)), 120),
                (ANSWER, "tcp SA", (ANY, ANY), 432_000),
                (ASK, "tcp R", (RESET, ANY), 10),
            ],
        ),
        (
            17,
            &[
                (ASK, "udp", (ANY, Seen(0)), 30),
                (ANSWER, "udp", (ANY, ANY), 120),
                (ASK, "udp", (ANY, ANY), 120),
            ],
        ),
        (
            132,
            &[
                (ASK, "sctp init data=16", (ANY, Seen(0)), 30),
                (ANSWER, "sctp init-ack data=16", (ANY, ANY), 210),
                (ASK, "sctp data data=16", (ANY, ANY), 210),
                (ASK, "sctp shutdown data=4", (FIN, ANY), 10),
                (ANSWER, "sctp shutdown-ack", (FIN, FIN), 10),
            ],
        ),
        (132, &[(ASK, "sctp init data=16", (ANY, Seen(0)), 30), (ANSWER, "sctp abort", (ANY, RESET), 10)]),
    ];
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        for (protocol, packets) in lives {
            lab.forget_all();
            for (ends, packet, (client, server), timeout) in packets {
                lab.wait(7);
                see(lab, &[(ends, packet)]);
                let now = (lab.world.fake.now.get() / 1_000_000_000) as u32;
                for ends in [ASK, ANSWER] {
                    let entry = entry(lab, ends, protocol).unwrap();
                    assert_eq!((entry.client, entry.server), (*client, *server), "{packet}");
                    assert_eq!((entry.last_seen, entry.idle_timeout(protocol)), (now, *timeout), "{packet}");
                }
            }
        }
    });
}

#[test]
fn nothing_is_written_for_what_is_known_already() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        see(lab, &[(ASK, "tcp S"), (ANSWER, "tcp SA"), (ASK, "tcp A"), (ANSWER, "tcp A")]);
        let writes = lab.world.writes.get();
        for _ in 0..100 {
            see(lab, &[(ASK, "tcp A data=9"), (ANSWER, "tcp A data=9")]);
        }
        assert_eq!(lab.world.writes.get(), writes);
        lab.wait(1);
        see(lab, &[(ASK, "tcp A data=9"), (ASK, "tcp A data=9"), (ANSWER, "tcp A data=9")]);
        assert_eq!(lab.world.writes.get(), writes + 2, "both entries, once a second");
    });
}

#[test]
fn a_flow_that_lost_an_entry_goes_on_as_before() {
    let packets = [("tcp A", 6), ("udp", 17), ("sctp data data=16", 132)];
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.world.settings.ports = 1000;
        for (packet, protocol) in packets {
            let there = lab.sees("eth0 in", &format!("{ASK} {packet}"));
            // The client's: its next packet finds the same backend and port.
            forget(lab, ASK, protocol);
            assert_eq!(lab.sees("eth0 in", &format!("{ASK} {packet}")), there);
            lab.wait(1);
            // That of the answers: the client's next packet brings it back; in the same port of the node's, or answers
            // went astray.
            let masqueraded = there.split(": ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
            let answers = format!("{} > {masqueraded}", lab.text("10.244.2.5:8080"));
            forget(lab, &answers, protocol);
            assert_eq!(lab.sees("eth0 in", &format!("{ASK} {packet}")), there);
            assert!(entry(lab, &answers, protocol).is_some(), "{packet}");
            // And the other way round.
            forget(lab, ASK, protocol);
            lab.wait(1);
            let home = lab.sees("eth0 in", &format!("{answers} {packet}"));
            assert!(home.contains(&lab.text("192.0.2.1:30080 > 192.0.2.9:4000")), "{home}");
            assert_eq!(entry(lab, ASK, protocol).unwrap().reserved, 0);
            assert_eq!(lab.sees("eth0 in", &format!("{ASK} {packet}")), there);
            // Both.
            lab.forget_all();
            assert_eq!(lab.sees("eth0 in", &format!("{ASK} {packet}")), there);
            lab.forget_all();
        }
    });
}

#[test]
fn a_new_connection_from_the_same_port_begins_a_new_flow() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        // After the end of the first one, by both sides or by a reset.
        see(lab, &[(ASK, "tcp S"), (ANSWER, "tcp SA"), (ASK, "tcp FA"), (ANSWER, "tcp FA"), (ASK, "tcp S")]);
        see(lab, &[(ANSWER, "tcp SA"), (ANSWER, "tcp R"), (ASK, "tcp S")]);
        lab.counted(&[(Counter::FlowNew, 1), (Counter::FlowReplaced, 2)]);
        // But a SYN that is sent again belongs to its flow, and so does one into an open connection.
        see(lab, &[(ASK, "tcp S"), (ANSWER, "tcp SA"), (ASK, "tcp S"), (ASK, "tcp FA"), (ASK, "tcp S")]);
        lab.counted(&[(Counter::FlowNew, 1), (Counter::FlowReplaced, 2)]);
        let entry = entry(lab, ASK, 6).unwrap();
        assert_eq!((entry.client, entry.server), (Seen::ANY.union(Seen::FIN), Seen::ANY));
    });
}

#[test]
fn a_flow_leaves_a_backend_that_cannot_serve_any_more_if_its_protocol_allows() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        for (service, gone) in (0..3).zip(["tcp A", "udp", "sctp data data=16"]) {
            let first = ["tcp S", "udp", "sctp init data=16"][service as usize];
            let there = lab.sees("eth0 in", &format!("{ASK} {first}"));
            assert!(there.contains(&lab.text("10.244.2.5:8080")), "{there}");
            let old = lab.text("10.244.2.5:8080");
            lab.world.fake.retire(service, &old);
            let new = lab.text("10.244.2.6:8080");
            lab.world.fake.cluster_set(service, &[&new]);
            // The connection is kept to its end; UDP moves at once.
            let there = lab.sees("eth0 in", &format!("{ASK} {gone}"));
            assert_eq!(there.contains(&new), service == 1, "{there}");
            assert_eq!(there.contains(&old), service != 1, "{there}");
            // A new one does not follow the old one there.
            let there = lab.sees("eth0 in", &format!("{ASK} {first}"));
            assert!(there.contains(&new), "{there}");
        }
        lab.counted(&[(Counter::FlowNew, 3), (Counter::FlowReplaced, 3)]);
    });
}

#[test]
fn a_backend_that_left_every_set_keeps_its_datagrams_while_it_serves() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        see(lab, &[(ASK, "udp")]);
        let [old, new] = ["10.244.2.5:8080", "10.244.2.6:8080"].map(|endpoint| lab.text(endpoint));
        lab.world.fake.cluster_set(1, &[&new]);
        lab.world.fake.becomes(1, &old, BackendFlags::LIVE);
        assert!(lab.sees("eth0 in", &format!("{ASK} udp")).contains(&old));
        // It stops, and an entry of another service port takes its place.
        lab.world.fake.becomes(1, &old, BackendFlags::default());
        assert!(lab.sees("eth0 in", &format!("{ASK} udp")).contains(&new));
        // Nobody is left.
        lab.world.fake.retire(1, &new);
        lab.world.fake.cluster_set(1, &[]);
        lab.world.fake.policy(1, Default::default());
        let refused = lab.sees("eth0 in", &format!("{ASK} udp"));
        assert!(refused.starts_with("return: ") && refused.contains("port-unreachable"), "{refused}");
        assert!(entry(lab, ASK, 17).is_none());
    });
}

#[test]
fn a_backend_whose_index_was_given_away_is_not_followed_there() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        let new = lab.text("10.244.2.6:8080");
        for given_away in [
            // To another endpoint of the same service port, once it was freed; or to another service port.
            |backend: &mut BackendEntry| backend.generation += 1,
            |backend: &mut BackendEntry| backend.service = 99,
        ] {
            lab.forget_all();
            see(lab, &[(ASK, "udp")]);
            let there = entry(lab, ASK, 17).unwrap().backend.index();
            let before = lab.world.fake.backends[there as usize];
            given_away(&mut lab.world.fake.backends[there as usize]);
            let old = lab.world.fake.services[1].cluster;
            lab.world.fake.cluster_set(1, &[&new]);
            assert!(lab.sees("eth0 in", &format!("{ASK} udp")).contains(&new));
            lab.world.fake.backends[there as usize] = before;
            lab.world.fake.services[1].cluster = old;
        }
    });
}

#[test]
fn a_reset_of_a_flow_that_nobody_knows_begins_none() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        for packet in ["tcp R", "tcp RA", "sctp abort"] {
            lab.check([("eth0 in", &format!("{ASK} {packet}"), "drop")]);
        }
        lab.counted(&[]);
        assert_eq!(lab.flows(), 0);
    });
}

#[test]
fn two_cpus_that_see_a_flow_begin_agree() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.world.settings.ports = 1000;
        let first = lab.sees("eth0 in", &format!("{ASK} tcp S"));
        let entries: Vec<_> = lab.world.flows.borrow().iter().map(|(key, entry)| (*key, *entry)).collect();
        // The other CPU writes both between our look-up and our own writes, or one of them.
        for others in [&entries[..], &entries[..1], &entries[1..]] {
            lab.forget_all();
            lab.world.others.borrow_mut().extend(others.iter().copied());
            assert_eq!(lab.sees("eth0 in", &format!("{ASK} tcp S")), first);
            assert_eq!(lab.flows(), 2);
        }
    });
}

#[test]
fn a_flow_that_cannot_be_written_is_dropped_and_leaves_nothing_to_go_wrong() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        for room in [0, 1] {
            lab.world.room.set(room);
            lab.check([("eth0 in", &format!("{ASK} tcp S"), "drop")]);
        }
        lab.counted(&[(Counter::FlowsFull, 2)]);
        lab.world.room.set(9);
        // Answers find the one entry there may be; the client's next packet finds it again.
        see(lab, &[(ASK, "tcp S"), (ANSWER, "tcp SA")]);
        assert_eq!(lab.flows(), 2);
    });
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.world.room.set(0);
        lab.check([("eth0 in", &format!("{ASK} tcp S"), "drop")]);
        lab.counted(&[(Counter::FlowsFull, 1)]);
    });
}

#[test]
fn a_flow_that_has_ended_stands_in_nobodys_way() {
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S",
                "pass: 192.0.2.9:4000 > 10.244.1.5:8080 tcp S",
            ),
            (
                "eth0 out forwarded",
                "10.244.1.5:8080 > 192.0.2.9:4000 tcp FA",
                "pass: 192.0.2.1:30080 > 192.0.2.9:4000 tcp FA",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp FA",
                "pass: 192.0.2.9:4000 > 10.244.1.5:8080 tcp FA",
            ),
            // What is still under way of it.
            (
                "eth0 out forwarded",
                "10.244.1.5:8080 > 192.0.2.9:4000 tcp A",
                "pass: 192.0.2.1:30080 > 192.0.2.9:4000 tcp A",
            ),
            // The same port of the client, and the same endpoint without a Service.
            ("eth0 in", "192.0.2.9:4000 > 10.244.1.5:8080 tcp S", "pass"),
            ("eth0 out forwarded", "10.244.1.5:8080 > 192.0.2.9:4000 tcp SA", "pass"),
        ]);
        assert_eq!(lab.flows(), 0);
    });
}

/// What the kernel translates looks like an answer to one of our ports before nf_conntrack has seen it: to a pod that a
/// network plug-in masquerades (`--random-fully` takes any port from 1024 on), and to a hostPort.
#[test]
fn what_the_kernel_translates_at_a_port_that_could_be_ours_is_let_through() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.check([
            ("eth0 in", "198.51.100.7:443 > 192.0.2.1:50000 tcp SA", "pass"),
            ("eth0 in", "198.51.100.7:40000 > 192.0.2.1:50000 tcp S", "pass"),
            ("eth0 in", "198.51.100.7:40000 > 192.0.2.1:50000 tcp PA data=9", "pass"),
        ]);
    });
}
