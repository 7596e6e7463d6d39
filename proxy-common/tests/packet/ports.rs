//! Source ports for what the node sends in a client's place.

use crate::{
    frame::{Kind, Link},
    lab::{Lab, Variant, every},
    text::Datagram,
};
use proxy_common::abi::{Counter, FrontendFlags, PacketSettings, SCTP, TCP, UDP};
use std::collections::HashSet;

/// The port that the node sends from for a client.
fn port(lab: &Lab, packet: &str) -> Option<u16> {
    let becomes = lab.sees("eth0 in", packet);
    let (_, packet) = becomes.split_once(": ")?;
    packet.parse::<Datagram>().unwrap().source.port
}

fn both() -> [Lab; 2] {
    [false, true].map(|v6| {
        let lab = &mut Lab::new(Variant { v6, kind: Kind::None, link: Link::Ethernet });
        Lab::serve_at("10.244.2.5:8080")(lab);
        std::mem::replace(lab, Lab::v4())
    })
}

#[test]
fn no_two_flows_to_a_backend_have_the_same_port() {
    for mut lab in both() {
        lab.world.settings = PacketSettings { first_port: 40_000, ports: 1000, ..lab.world.settings };
        let mut ports = HashSet::new();
        for client in 1..=500 {
            let port = port(&lab, &format!("192.0.2.9:{client} > 192.0.2.1:30080 tcp S")).unwrap();
            assert!((40_000..41_000).contains(&port));
            assert!(ports.insert(port), "{port} twice");
        }
        lab.counted(&[(Counter::FlowNew, 500)]);
        // Answers come back to whom they are for.
        for client in 1..=500 {
            let packet = format!("192.0.2.9:{client} > 192.0.2.1:30080 tcp A");
            let port = port(&lab, &packet).unwrap();
            let answer = lab.sees("eth0 in", &format!("10.244.2.5:8080 > 192.0.2.1:{port} tcp A"));
            assert!(answer.contains(&lab.text(&format!("> 192.0.2.9:{client} tcp"))), "{answer}");
        }
    }
}

#[test]
fn the_last_free_port_may_not_be_found_but_none_is_taken_twice() {
    for mut lab in both() {
        lab.world.settings.ports = 64;
        let ports: Vec<_> = (1..=200)
            .filter_map(|client| port(&lab, &format!("192.0.2.9:{client} > 192.0.2.1:30080 udp")))
            .collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), ports.len());
        assert!(ports.len() >= 60, "{} of 64", ports.len());
        let exhausted = 200 - ports.len() as u64;
        lab.counted(&[(Counter::FlowNew, ports.len() as u64), (Counter::PortsExhausted, exhausted)]);
        // What has one keeps it, and other backends have all of theirs.
        assert_eq!(port(&lab, "192.0.2.9:1 > 192.0.2.1:30080 udp"), ports.first().copied());
        lab.serve("10.96.0.11:53", UDP, &["10.244.2.6:8080"]);
        assert!(port(&lab, "192.0.2.9:1 > 10.96.0.11:53 udp").is_some());
        // So have other protocols.
        assert!(port(&lab, "192.0.2.9:1 > 192.0.2.1:30080 tcp S").is_some());
    }
}

#[test]
fn a_port_is_free_again_once_its_flow_is_over() {
    for mut lab in both() {
        lab.world.settings.ports = 1;
        let other = "192.0.2.8:1 > 192.0.2.1:30080";
        // (what ends the first flow, seconds after which its port is still its own, and after which it is not)
        let lives: [(&[&str], u64, u64); 5] = [
            (&["> udp"], 30, 1),
            (&["> udp", "< udp"], 120, 1),
            (&["> tcp S"], 120, 1),
            (&["> tcp S", "< tcp SA", "> tcp FA", "< tcp FA"], 2, 1),
            (&["> tcp S", "< tcp RA"], 2, 1),
        ];
        for (packets, kept, then) in lives {
            lab.forget_all();
            for packet in packets {
                let (from, packet) = packet.split_at(2);
                let ends = if from == "> " {
                    "192.0.2.9:1 > 192.0.2.1:30080"
                } else {
                    "10.244.2.5:8080 > 192.0.2.1:50000"
                };
                assert_ne!(lab.sees("eth0 in", &format!("{ends} {packet}")), "drop");
            }
            let protocol = packets[0].split(' ').nth(1).unwrap();
            let first = if protocol == "tcp" { "tcp S" } else { "udp" };
            lab.wait(kept);
            assert_eq!(port(&lab, &format!("{other} {first}")), None, "{packets:?}");
            lab.wait(then);
            assert_eq!(port(&lab, &format!("{other} {first}")), Some(50_000), "{packets:?}");
            assert_eq!(lab.flows(), 2, "nothing is left of the old flow");
            // Its client gets no answers of the new one, and may not take the port back.
            let late = if protocol == "tcp" { "tcp A" } else { "udp" };
            assert_eq!(port(&lab, &format!("192.0.2.9:1 > 192.0.2.1:30080 {late}")), None, "{packets:?}");
        }
    }
}

#[test]
fn a_port_of_a_socket_or_a_node_port_is_not_taken() {
    for mut lab in both() {
        let range = PacketSettings { first_port: 30_079, ports: 3, ..lab.world.settings };
        lab.world.settings = range;
        lab.net.sockets = vec![30_079];
        // 30080 is a NodePort of all three protocols, 30079 a socket's: but the kernel tells of no SCTP sockets.
        for (packet, free) in
            [("tcp S", vec![30_081]), ("udp", vec![30_081]), ("sctp init data=16", vec![30_079, 30_081])]
        {
            let found: HashSet<_> = (1..=20)
                .filter_map(|client| {
                    lab.forget_all();
                    port(&lab, &format!("192.0.2.9:{client} > 192.0.2.1:30080 {packet}"))
                })
                .collect();
            assert_eq!(found, free.into_iter().collect(), "{packet}");
        }
    }
}

#[test]
fn without_ports_nothing_is_masqueraded() {
    for mut lab in both() {
        lab.world.settings.ports = 0;
        lab.net.sockets = vec![50_000];
        lab.check([("eth0 in", "192.0.2.9:1 > 192.0.2.1:30080 tcp S", "drop")]);
        lab.counted(&[(Counter::PortsExhausted, 1)]);
        assert_eq!(lab.flows(), 0);
    }
}

/// One client, one port, two frontends that lead to one backend of this node: it could not tell them apart. The
/// second gets another port, and keeps the client's address: `externalTrafficPolicy: Local` promises it.
#[test]
fn a_second_flow_between_the_same_ends_gets_another_port() {
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.frontend(0, FrontendFlags::EXTERNAL_IP, "198.51.100.7:80", TCP);
        lab.frontend(2, FrontendFlags::EXTERNAL_IP, "198.51.100.7:80", SCTP);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S",
                "pass: 192.0.2.9:4000 > 10.244.1.5:8080 tcp S",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 198.51.100.7:80 tcp S",
                "pass: 192.0.2.9:50000 > 10.244.1.5:8080 tcp S",
            ),
            (
                "eth0 out forwarded",
                "10.244.1.5:8080 > 192.0.2.9:4000 tcp SA",
                "pass: 192.0.2.1:30080 > 192.0.2.9:4000 tcp SA",
            ),
            (
                "eth0 out forwarded",
                "10.244.1.5:8080 > 192.0.2.9:50000 tcp SA",
                "pass: 198.51.100.7:80 > 192.0.2.9:4000 tcp SA",
            ),
            // Another protocol is another flow.
            (
                "eth0 in",
                "192.0.2.9:4000 > 198.51.100.7:80 sctp init data=16",
                "pass: 192.0.2.9:4000 > 10.244.1.5:8080 sctp init data=16",
            ),
        ]);
        // When the first one is over, its place is free.
        lab.wait(432_001);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:80 tcp S",
                "pass: 192.0.2.9:4000 > 10.244.1.5:8080 tcp S",
            ),
            (
                "eth0 out forwarded",
                "10.244.1.5:8080 > 192.0.2.9:4000 tcp SA",
                "pass: 10.96.0.10:80 > 192.0.2.9:4000 tcp SA",
            ),
        ]);
    });
}
