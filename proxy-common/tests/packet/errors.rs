//! ICMP errors about a flow go with it, both ways.

use crate::{
    frame::{Frame, Kind, Summed},
    lab::{Lab, every},
    read::read,
};
use proxy_common::{abi::Counter, packet::Action};
use std::net::Ipv4Addr;

/// Begins a TCP, a UDP and an SCTP flow from 192.0.2.9:4000 to the NodePort.
fn begin(lab: &Lab) {
    for packet in ["tcp S", "udp", "sctp init data=16"] {
        assert_ne!(lab.sees("eth0 in", &format!("192.0.2.9:4000 > 192.0.2.1:30080 {packet}")), "drop");
    }
}

#[test]
fn an_error_about_a_masqueraded_flow_reaches_the_client() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        begin(lab);
        lab.check([
            // From a router on the way: the client does not know it.
            (
                "eth0 in",
                "192.0.2.2 > 192.0.2.1 icmp too-big number=1400 \
                 [192.0.2.1:50000 > 10.244.2.5:8080 tcp PA data=1200 ttl=62]",
                "eth0 via 192.0.2.9: 192.0.2.1 > 192.0.2.9 icmp too-big number=1400 ttl=63 \
                 [192.0.2.9:4000 > 192.0.2.1:30080 tcp PA data=1200 ttl=62]",
            ),
            // As little as there must be.
            (
                "eth0 in",
                &format!(
                    "192.0.2.2 > 192.0.2.1 icmp time-exceeded cut={} \
                     [192.0.2.1:50000 > 10.244.2.5:8080 tcp PA data=1200 ttl=1]",
                    if lab.variant.v6 { 48 } else { 28 }
                ),
                "eth0 via 192.0.2.9: 192.0.2.1 > 192.0.2.9 icmp time-exceeded ttl=63 \
                 [192.0.2.9:4000 > 192.0.2.1:30080 tcp ttl=1]",
            ),
            // From the backend itself.
            (
                "eth0 in",
                "10.244.2.5 > 192.0.2.1 icmp port-unreachable ttl=9 \
                 [192.0.2.1:50000 > 10.244.2.5:8080 udp data=9]",
                "eth0 via 192.0.2.9: 192.0.2.1 > 192.0.2.9 icmp port-unreachable ttl=8 \
                 [192.0.2.9:4000 > 192.0.2.1:30080 udp data=9]",
            ),
            (
                "eth0 in",
                "10.244.2.5 > 192.0.2.1 icmp parameter-problem number=5 \
                 [192.0.2.1:50000 > 10.244.2.5:8080 udp nosum]",
                "eth0 via 192.0.2.9: 192.0.2.1 > 192.0.2.9 icmp parameter-problem number=5 ttl=63 \
                 [192.0.2.9:4000 > 192.0.2.1:30080 udp nosum]",
            ),
            (
                "eth0 in",
                &format!(
                    "10.244.2.5 > 192.0.2.1 icmp port-unreachable cut={} \
                     [192.0.2.1:50000 > 10.244.2.5:8080 sctp init data=16]",
                    if lab.variant.v6 { 60 } else { 40 }
                ),
                "eth0 via 192.0.2.9: 192.0.2.1 > 192.0.2.9 icmp port-unreachable ttl=63 \
                 [192.0.2.9:4000 > 192.0.2.1:30080 sctp]",
            ),
        ]);
        lab.counted(&[(Counter::FlowNew, 3), (Counter::ErrorTranslated, 5)]);
    });
}

#[test]
fn an_error_about_an_answer_reaches_the_backend() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        begin(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9 > 192.0.2.1 icmp port-unreachable [192.0.2.1:30080 > 192.0.2.9:4000 udp data=9]",
                "eth0 via 192.0.2.2: 192.0.2.1 > 10.244.2.5 icmp port-unreachable ttl=63 \
                 [10.244.2.5:8080 > 192.0.2.1:50000 udp data=9]",
            ),
            (
                "eth0 in",
                "192.0.2.254 > 192.0.2.1 icmp too-big number=1300 \
                 [192.0.2.1:30080 > 192.0.2.9:4000 tcp A data=1200]",
                "eth0 via 192.0.2.2: 192.0.2.1 > 10.244.2.5 icmp too-big number=1300 ttl=63 \
                 [10.244.2.5:8080 > 192.0.2.1:50000 tcp A data=1200]",
            ),
        ]);
    });
    // A backend of this node gets it by the stack, from who sent it.
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        begin(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.254 > 192.0.2.1 icmp too-big number=1300 \
                 [192.0.2.1:30080 > 192.0.2.9:4000 tcp A data=1200]",
                "pass: 192.0.2.254 > 10.244.1.5 icmp too-big number=1300 \
                 [10.244.1.5:8080 > 192.0.2.9:4000 tcp A data=1200]",
            ),
            // And those that it sends, or the node about it, are restored on the way out.
            (
                "eth0 out forwarded",
                "10.244.1.5 > 192.0.2.9 icmp port-unreachable ttl=63 \
                 [192.0.2.9:4000 > 10.244.1.5:8080 udp data=9]",
                "pass: 192.0.2.1 > 192.0.2.9 icmp port-unreachable ttl=63 \
                 [192.0.2.9:4000 > 192.0.2.1:30080 udp data=9]",
            ),
            (
                "eth0 out",
                "192.0.2.1 > 192.0.2.9 icmp time-exceeded [192.0.2.9:4000 > 10.244.1.5:8080 tcp S]",
                "pass: 192.0.2.1 > 192.0.2.9 icmp time-exceeded [192.0.2.9:4000 > 192.0.2.1:30080 tcp S]",
            ),
            // Before that they pass the pods' device as they are.
            (
                "cni0 in",
                "10.244.1.5 > 192.0.2.9 icmp port-unreachable [192.0.2.9:4000 > 10.244.1.5:8080 udp]",
                "pass",
            ),
        ]);
        lab.counted(&[(Counter::FlowNew, 3), (Counter::ErrorTranslated, 3)]);
    });
}

#[test]
fn an_error_about_what_the_node_sent_itself_comes_in_where_its_answers_would() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.sees("eth0 out", "192.0.2.1:4000 > 10.96.0.10:53 udp");
        lab.check([(
            "eth0 in",
            "10.244.2.5 > 192.0.2.1 icmp port-unreachable [192.0.2.1:50000 > 10.244.2.5:8080 udp]",
            "into eth0: 10.96.0.10 > 192.0.2.1 icmp port-unreachable [192.0.2.1:4000 > 10.96.0.10:53 udp]",
        )]);
    });
}

#[test]
fn what_stands_around_the_packet_in_an_error_stays() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        begin(lab);
        let extras = if lab.variant.v6 { "options destination routing" } else { "options" };
        let error = |outer: &str, inner: &str| {
            (
                format!(
                    "10.244.2.5 > 192.0.2.1 icmp too-big number=1400 {outer} [192.0.2.1:50000 > 10.244.2.5:8080 {inner}]"
                ),
                format!(
                    "eth0 via 192.0.2.9: 192.0.2.1 > 192.0.2.9 icmp too-big number=1400 ttl=63 {outer}[192.0.2.9:4000 > 192.0.2.1:30080 {inner}]"
                ),
            )
        };
        for (packet, becomes) in [
            error("", &format!("udp data=9 {extras}")),
            error("", &format!("tcp A data=9 {extras}")),
            error("", "udp data=40 id=7 frag=0-24"),
        ] {
            lab.check([("eth0 in", &packet, &becomes)]);
        }
        let packet = "10.244.2.5 > 192.0.2.1 icmp too-big number=1400 options \
                      [192.0.2.1:50000 > 10.244.2.5:8080 udp data=9 options]";
        let becomes = "eth0 via 192.0.2.9: 192.0.2.1 > 192.0.2.9 icmp too-big number=1400 ttl=63 options \
                       [192.0.2.9:4000 > 192.0.2.1:30080 udp data=9 options]";
        lab.check([("eth0 in", packet, becomes)]);
    });
}

#[test]
fn an_error_that_is_about_no_flow_is_left_alone() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        begin(lab);
        for packet in [
            // Another port, a packet that went the other way, another protocol, a later fragment, a redirect.
            "192.0.2.2 > 192.0.2.1 icmp too-big [192.0.2.1:50001 > 10.244.2.5:8080 tcp A]",
            "192.0.2.2 > 192.0.2.1 icmp too-big [10.244.2.5:8080 > 192.0.2.1:50000 tcp A]",
            "192.0.2.2 > 192.0.2.1 icmp too-big [192.0.2.1 > 10.244.2.5 47 data=8]",
            "192.0.2.2 > 192.0.2.1 icmp too-big [192.0.2.1:50000 > 10.244.2.5:8080 udp data=40 frag=24-48]",
            "192.0.2.2 > 192.0.2.1 icmp redirect [192.0.2.1:50000 > 10.244.2.5:8080 tcp A]",
            "192.0.2.2 > 192.0.2.1 icmp echo data=40",
            // Sent to somebody who did not send the packet in it.
            "192.0.2.2 > 192.0.2.9 icmp too-big [192.0.2.1:50000 > 10.244.2.5:8080 tcp A]",
            // Itself in fragments.
            "192.0.2.2 > 192.0.2.1 icmp too-big id=9 frag=0-80 [192.0.2.1:50000 > 10.244.2.5:8080 tcp A data=99]",
            "192.0.2.2 > 192.0.2.1 icmp too-big id=9 frag=80-88 [192.0.2.1:50000 > 10.244.2.5:8080 tcp A data=99]",
        ] {
            lab.check([("eth0 in", packet, "pass")]);
        }
        lab.counted(&[(Counter::FlowNew, 3)]);
    });
}

#[test]
fn what_a_later_fragment_begins_with_is_no_port() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        begin(lab);
        let error =
            "192.0.2.2 > 192.0.2.1 icmp too-big [192.0.2.1:50000 > 10.244.2.5:8080 udp data=40 frag=24-48]";
        let mut frame = lab.frame("eth0 in", error);
        let ports = frame.bytes.len() - 24;
        frame.bytes[ports..ports + 2].copy_from_slice(&50_000_u16.to_be_bytes());
        frame.bytes[ports + 2..ports + 4].copy_from_slice(&8080_u16.to_be_bytes());
        assert_eq!(lab.act(&mut frame), Action::Pass);
        lab.counted(&[(Counter::FlowNew, 3)]);
    });
}

#[test]
fn what_the_link_has_padded_is_no_part_of_the_packet_in_an_error() {
    for v6 in [false, true] {
        let lab = &mut if v6 { Lab::v6() } else { Lab::v4() };
        Lab::serve_at("10.244.2.5:8080")(lab);
        begin(lab);
        let cut = if v6 { 48 } else { 28 };
        let error = format!(
            "192.0.2.2 > 192.0.2.1 icmp time-exceeded cut={cut} [192.0.2.1:50000 > 10.244.2.5:8080 tcp A]"
        );
        let mut frame = lab.frame("eth0 in", &error);
        let end = frame.bytes.len();
        frame.bytes.extend([7; 20]);
        assert!(matches!(lab.act(&mut frame), Action::Forward { .. }));
        assert_eq!(frame.bytes[end..], [7; 20]);
        let packet = read(&frame.bytes[14..end]).unwrap().to_string();
        assert!(packet.ends_with(&lab.text("[192.0.2.9:4000 > 192.0.2.1:30080 tcp]")), "{packet}");
    }
}

#[test]
fn an_error_without_a_way_on_ends_and_is_not_answered() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        begin(lab);
        let error = "192.0.2.2 > 192.0.2.1 icmp too-big [192.0.2.1:50000 > 10.244.2.5:8080 tcp A data=1200]";
        lab.check([("eth0 in", &error.replace("too-big", "too-big ttl=1"), "drop")]);
        lab.net.mtus.insert(crate::net::ETH0, 1000);
        lab.check([("eth0 in", error, "drop")]);
        lab.net.no_route_to = vec![Ipv4Addr::new(192, 0, 2, 9)];
        lab.check([("eth0 in", error, "drop")]);
        lab.counted(&[
            (Counter::FlowNew, 3),
            (Counter::PacketNoRoute, 1),
            (Counter::PacketTooBig, 1),
            (Counter::PacketTtlExceeded, 1),
        ]);
    });
}

/// Two nodes with Shunt and veth between them: what one builds around a packet whose checksum is yet to be completed,
/// the other translates before it is.
#[test]
fn an_error_around_a_checksum_that_is_yet_to_be_completed_is_translated() {
    every(|lab| {
        if lab.variant.kind != Kind::Partial {
            return;
        }
        Lab::serve_at("10.244.2.5:8080")(lab);
        let mut other = Lab::new(lab.variant);
        for (port, protocol) in [(8080, 6), (8080, 17)] {
            other.serve(&format!("10.244.2.5:{port}"), protocol, &[]);
        }
        begin(lab);
        for (sent, comes) in [("udp data=99", "udp"), ("udp data=12", "udp data=12"), ("udp", "udp")] {
            let mut frame = other.frame("eth0 in", &format!("192.0.2.1:50000 > 10.244.2.5:8080 {sent}"));
            assert_eq!(other.act(&mut frame), Action::Return);
            let mut frame = Frame { net: &lab.net, ..frame };
            let expected = format!(
                "eth0 via 192.0.2.9: 192.0.2.1 > 192.0.2.9 icmp port-unreachable ttl=63 \
                 [192.0.2.9:4000 > 192.0.2.1:30080 {comes}]"
            );
            assert!(matches!(frame.summed, Summed::Partial { .. }));
            assert_eq!(lab.translate(&mut frame), lab.text(&expected));
        }
    });
}
