//! What somebody sends who means harm, and what is left of flows that were evicted.

use crate::lab::{Lab, every};
use proxy_common::abi::{TCP, UDP};

#[test]
fn a_flow_that_lost_its_answers_entry_does_not_go_on_under_another_flows_port() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        for protocol in ["udp", "tcp A"] {
            lab.forget_all();
            let number = if protocol == "udp" { UDP } else { TCP };
            let first = format!("192.0.2.9:1 > 192.0.2.1:30080 {protocol}");
            lab.check([(
                "eth0 in",
                &first,
                &format!("eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 {protocol} ttl=63"),
            )]);
            // The entry of its answers is evicted, and another flow gets the port.
            let answers = lab
                .world
                .flows
                .borrow()
                .keys()
                .copied()
                .find(|key| key.source == lab.ip("10.244.2.5") && key.protocol == u32::from(number))
                .unwrap();
            lab.world.flows.borrow_mut().remove(&answers);
            let second = format!("192.0.2.8:2 > 192.0.2.1:30080 {protocol}");
            lab.check([(
                "eth0 in",
                &second,
                &format!("eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 {protocol} ttl=63"),
            )]);
            lab.wait(1);
            lab.check([
                ("eth0 in", &first, "drop"),
                (
                    "eth0 in",
                    &second,
                    &format!("eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 {protocol} ttl=63"),
                ),
            ]);
        }
    });
}

#[test]
fn a_datagram_to_nobodys_port_does_not_follow_an_earlier_one_of_the_same_id() {
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        let later = "192.0.2.9:1 > 192.0.2.1:2049 udp data=40 id=7 frag=24-48";
        assert!(
            lab.sees("eth0 in", "192.0.2.9:1 > 192.0.2.1:30080 udp data=40 id=7 frag=0-24")
                .starts_with("pass: ")
        );
        assert!(lab.sees("eth0 in", later).starts_with("pass: "));
        lab.check([
            ("eth0 in", "192.0.2.9:1 > 192.0.2.1:2049 udp data=40 id=7 frag=0-24", "pass"),
            ("eth0 in", later, "pass"),
        ]);
    });
}

#[test]
fn ipv6_packets_of_mapped_addresses_are_none_of_the_flows_of_ipv4() {
    let mut lab = Lab::v4();
    Lab::serve_at("10.244.2.5:8080")(&mut lab);
    assert_eq!(lab.sees("eth0 in", "[::ffff:192.0.2.9]:1 > [::ffff:192.0.2.1]:30080 tcp S"), "pass");
    assert_eq!(lab.flows(), 0);
}

#[test]
fn nobody_is_a_client_from_an_address_that_no_host_has() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        let sources = if lab.variant.v6 {
            &["[::1]", "[ff02::1]", "[::]"][..]
        } else {
            &["127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0"]
        };
        for source in sources {
            let to = lab.text("192.0.2.1:30080");
            assert_eq!(lab.sees("eth0 in", &format!("{source}:1 > {to} udp")), "drop", "{source}");
        }
        assert_eq!(lab.flows(), 0);
    });
}
