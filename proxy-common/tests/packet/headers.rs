//! What may stand around a transport header, and what is left alone: links, options, extension headers, checksums
//! that are not there, packets that are not whole.

use crate::{
    frame::{Kind, Link},
    lab::{Lab, Variant, every},
    read::read,
};
use proxy_common::abi::Counter;

#[test]
fn packets_are_found_behind_every_kind_of_link_header() {
    for link in [Link::Headerless, Link::Tagged(1), Link::Tagged(2)] {
        for v6 in [false, true] {
            for kind in [Kind::None, Kind::Partial, Kind::Complete] {
                let lab = &mut Lab::new(Variant { v6, kind, link });
                Lab::serve_at("10.244.2.5:8080")(lab);
                lab.check([
                    (
                        "eth0 in",
                        "192.0.2.9:4000 > 192.0.2.1:30080 tcp S",
                        "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 tcp S ttl=63",
                    ),
                    (
                        "eth0 in",
                        "10.244.2.5:8080 > 192.0.2.1:50000 tcp SA",
                        "eth0 via 192.0.2.9: 192.0.2.1:30080 > 192.0.2.9:4000 tcp SA ttl=63",
                    ),
                    (
                        "eth0 in",
                        "192.0.2.2 > 192.0.2.1 icmp time-exceeded [192.0.2.1:50000 > 10.244.2.5:8080 tcp S]",
                        "eth0 via 192.0.2.9: 192.0.2.1 > 192.0.2.9 icmp time-exceeded ttl=63 \
                         [192.0.2.9:4000 > 192.0.2.1:30080 tcp S]",
                    ),
                    (
                        "eth0 in",
                        "192.0.2.9:4000 > 10.96.0.10:81 tcp S",
                        "return: 10.96.0.10:81 > 192.0.2.9:4000 tcp RA ack=1",
                    ),
                ]);
                if link == Link::Headerless {
                    lab.check([(
                        "eth0 in",
                        "192.0.2.9:4000 > 10.96.0.10:81 udp",
                        "return: 10.96.0.10 > 192.0.2.9 icmp port-unreachable \
                         [192.0.2.9:4000 > 10.96.0.10:81 udp]",
                    )]);
                }
            }
        }
    }
}

#[test]
fn a_third_tag_and_what_is_no_ip_are_left_alone() {
    for (link, ethertype) in
        [(Link::Tagged(3), None), (Link::Ethernet, Some([0x08, 0x06])), (Link::Ethernet, Some([0x88, 0x47]))]
    {
        for v6 in [false, true] {
            let lab = &mut Lab::new(Variant { v6, kind: Kind::None, link });
            Lab::serve_at("10.244.2.5:8080")(lab);
            let mut frame = lab.frame("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S");
            if let Some(ethertype) = ethertype {
                frame.bytes[12..14].copy_from_slice(&ethertype);
            }
            assert_eq!(lab.translate(&mut frame), "pass");
        }
    }
}

#[test]
fn options_and_extension_headers_stay_where_they_are() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        let all: &[&str] = if lab.variant.v6 {
            &[
                "options",
                "destination",
                "routing",
                "atomic",
                "auth",
                "options destination routing atomic auth",
            ]
        } else {
            &["options"]
        };
        for extras in all {
            for (packet, answer) in [
                ("tcp S", "tcp SA"),
                ("udp data=3", "udp data=300"),
                ("sctp init data=16", "sctp init-ack data=20"),
            ] {
                let there = format!("192.0.2.9:4000 > 192.0.2.1:30080 {packet} {extras}");
                let gone =
                    format!("eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 {packet} ttl=63 {extras}");
                let back = format!("10.244.2.5:8080 > 192.0.2.1:50000 {answer} {extras}");
                let home =
                    format!("eth0 via 192.0.2.9: 192.0.2.1:30080 > 192.0.2.9:4000 {answer} ttl=63 {extras}");
                lab.check([("eth0 in", &there, &gone), ("eth0 in", &back, &home)]);
            }
        }
    });
}

#[test]
fn a_packet_that_another_node_is_to_get_first_is_left_alone() {
    let lab = &mut Lab::v6();
    Lab::serve_at("10.244.2.5:8080")(lab);
    lab.check([("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S left", "pass")]);
}

#[test]
fn a_datagram_without_a_checksum_keeps_none_and_one_with_a_checksum_gets_no_zero() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 udp data=5 nosum",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 udp data=5 ttl=63 nosum",
            ),
            (
                "eth0 in",
                "10.244.2.5:8080 > 192.0.2.1:50000 udp data=5 nosum",
                "eth0 via 192.0.2.9: 192.0.2.1:30080 > 192.0.2.9:4000 udp data=5 ttl=63 nosum",
            ),
        ]);
        // For each source port another checksum; one of them is that whose complement is zero.
        for port in 1..=u16::MAX {
            if lab.variant.kind != Kind::None {
                break;
            }
            lab.world.flows.borrow_mut().clear();
            let translated = lab.sees("eth0 in", &format!("192.0.2.9:{port} > 192.0.2.1:30080 udp data=5"));
            assert!(translated.ends_with(" udp data=5 ttl=63"), "{translated}");
        }
    });
}

#[test]
fn what_the_link_has_padded_is_no_part_of_a_packet() {
    every(|lab| {
        if lab.variant.kind == Kind::Partial {
            return;
        }
        Lab::serve_at("10.244.2.5:8080")(lab);
        for (packet, becomes) in [
            (
                "192.0.2.9:4000 > 192.0.2.1:30080 sctp init data=16",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 sctp init data=16 ttl=63",
            ),
            (
                "192.0.2.9:4000 > 10.96.0.10:81 tcp S data=1",
                "return: 10.96.0.10:81 > 192.0.2.9:4000 tcp RA ack=2",
            ),
            (
                "192.0.2.9:4000 > 10.96.0.10:81 udp",
                "return: 10.96.0.10 > 192.0.2.9 icmp port-unreachable [192.0.2.9:4000 > 10.96.0.10:81 udp]",
            ),
        ] {
            let mut frame = lab.frame("eth0 in", packet);
            let length = frame.bytes.len();
            frame.bytes.extend([0; 30]);
            let action = lab.act(&mut frame);
            // An answer is cut to size; what is sent on keeps its padding.
            if frame.bytes.len() == length + 30 {
                frame.bytes.truncate(length);
            }
            frame.finish();
            let packet = read(&frame.bytes[14..]).unwrap();
            let becomes = lab.text(becomes);
            assert!(becomes.ends_with(&format!(": {packet}")), "{action:?}: {packet}, not {becomes}");
        }
    });
}

/// A length field says more than there is: whoever gets it next drops it.
#[test]
fn a_packet_that_is_not_all_there_is_left_alone() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        let extras = if lab.variant.v6 { "options destination routing atomic auth" } else { "options" };
        for packet in [
            "192.0.2.9:4000 > 192.0.2.1:30080 tcp S data=9",
            "192.0.2.9:4000 > 192.0.2.1:30080 udp data=9",
            "192.0.2.9:4000 > 192.0.2.1:30080 sctp init data=16",
            "192.0.2.9:4000 > 10.96.0.10:81 udp data=9",
            "192.0.2.9:4000 > 10.96.0.10:81 tcp S data=9",
            "192.0.2.9 > 10.96.0.10 icmp echo data=9",
        ] {
            for packet in [packet.to_owned(), format!("{packet} {extras}")] {
                let whole = lab.frame("eth0 in", &packet);
                for length in 14..whole.bytes.len() {
                    let mut frame = lab.frame("eth0 in", &packet);
                    frame.bytes.truncate(length);
                    assert_eq!(
                        lab.translate(&mut frame),
                        "pass",
                        "{packet} cut to {length}; {:?}",
                        lab.variant
                    );
                }
            }
        }
        lab.counted(&[]);
    });
}

#[test]
fn a_transport_header_that_does_not_fit_its_packet_is_left_alone() {
    every(|lab| {
        if lab.variant.kind != Kind::None {
            return;
        }
        Lab::serve_at("10.244.2.5:8080")(lab);
        let at = if lab.variant.v6 { 14 + 4 } else { 14 + 2 };
        let ip = if lab.variant.v6 { 0 } else { 20 };
        for (packet, header) in [("tcp S", 20_u16), ("udp", 8), ("sctp cookie-echo", 16)] {
            for length in 0..header {
                let mut frame =
                    lab.frame("eth0 in", &format!("192.0.2.9:4000 > 192.0.2.1:30080 {packet} data=16"));
                frame.bytes[at..at + 2].copy_from_slice(&(ip + length).to_be_bytes());
                assert_eq!(
                    lab.translate(&mut frame),
                    "pass",
                    "{packet} of {length} bytes; {:?}",
                    lab.variant
                );
            }
        }
        lab.counted(&[]);
    });
}

#[test]
fn a_packet_that_ends_in_its_ip_header_is_left_alone() {
    every(|lab| {
        if lab.variant.kind != Kind::None {
            return;
        }
        Lab::serve_at("10.244.2.5:8080")(lab);
        let (at, most) = if lab.variant.v6 { (14 + 4, 8) } else { (14 + 2, 28_u16) };
        for packet in ["tcp S", "udp", "sctp cookie-echo"] {
            for length in 0..most {
                let packet = format!("192.0.2.9:4000 > 192.0.2.1:30080 {packet} data=16 options");
                let mut frame = lab.frame("eth0 in", &packet);
                frame.bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
                assert_eq!(
                    lab.translate(&mut frame),
                    "pass",
                    "{packet} of {length} bytes; {:?}",
                    lab.variant
                );
            }
        }
        lab.counted(&[]);
    });
}

/// More than 64 KiB in one packet before it is cut apart (BIG TCP): its length field is zero.
#[test]
fn a_packet_longer_than_its_length_field_can_say_is_translated() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.sees("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S");
        let mut frame = lab.frame("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp A data=9000");
        let at = if lab.variant.v6 { 14 + 4 } else { 14 + 2 };
        frame.bytes[at..at + 2].fill(0);
        frame.segmented = true;
        assert!(matches!(lab.act(&mut frame), proxy_common::packet::Action::Forward { .. }));
        lab.counted(&[(Counter::FlowNew, 1)]);
    });
}
