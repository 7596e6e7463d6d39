//! Fragments follow the first one of their datagram, which has the ports.

use crate::{
    frame::{Kind, Link},
    lab::{Lab, Variant, every},
    read::read,
    wire::pseudo_header,
};
use proxy_common::{abi::Counter, packet::Action};

/// What a datagram's fragments become, put together again; with every checksum verified.
#[track_caller]
fn reassembled(lab: &Lab, place: &str, datagram: &str, fragments: &[&str]) -> String {
    let mut whole = Vec::new();
    let mut ends = None;
    for fragment in fragments {
        let mut frame = lab.frame(place, &format!("{datagram} frag={fragment}"));
        let action = lab.act(&mut frame);
        assert!(matches!(action, Action::Forward { .. } | Action::Pass), "{datagram} {fragment}: {action:?}");
        frame.finish();
        let ip = &frame.bytes[frame.ip()..];
        let packet = read(ip).unwrap();
        let (from, to) = packet.fragment.unwrap();
        assert_eq!(format!("{from}-{to}"), *fragment);
        assert_eq!(whole.len(), from);
        whole.extend(&ip[ip.len() - (to - from)..]);
        let together = (packet.source.ip, packet.destination.ip, packet.ttl, packet.id);
        assert_eq!(*ends.get_or_insert(together), together, "the fragments of one datagram");
    }
    let (source, destination, ttl, id) = ends.unwrap();
    assert_eq!(id, 7);
    let sum = pseudo_header(source, destination, 17, whole.len()).add_slice(&whole);
    assert_eq!(sum.ones_complement(), 0, "the datagram's checksum");
    let [a, b, c, d] = *whole.first_chunk().unwrap();
    let (from, to) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    format!("{source} {from} > {destination} {to} ttl={ttl}")
}

#[test]
fn a_datagram_in_fragments_arrives_whole_and_so_does_its_answer() {
    for (endpoint, there, back) in [
        (
            "10.244.2.5:8080",
            "192.0.2.1 50000 > 10.244.2.5 8080 ttl=63",
            "192.0.2.1 30080 > 192.0.2.9 4000 ttl=63",
        ),
        (
            "10.244.1.5:8080",
            "192.0.2.9 4000 > 10.244.1.5 8080 ttl=64",
            "192.0.2.1 30080 > 192.0.2.9 4000 ttl=64",
        ),
    ] {
        every(|lab| {
            Lab::serve_at(endpoint)(lab);
            let ask = "192.0.2.9:4000 > 192.0.2.1:30080 udp data=64 id=7";
            let (place, answer) = if there.starts_with("192.0.2.1") {
                ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 udp data=64 id=7")
            } else {
                ("eth0 out forwarded", "10.244.1.5:8080 > 192.0.2.9:4000 udp data=64 id=7")
            };
            let fragments = ["0-24", "24-48", "48-72"];
            assert_eq!(reassembled(lab, "eth0 in", ask, &fragments), lab.text(there));
            assert_eq!(reassembled(lab, place, answer, &fragments), lab.text(back));
            // As the first packet of the flow and as another one; extension headers do not matter.
            let extras = if lab.variant.v6 { " destination options" } else { " options" };
            assert_eq!(reassembled(lab, "eth0 in", &format!("{ask}{extras}"), &fragments), lab.text(there));
            lab.counted(&[(Counter::FlowNew, 1)]);
        });
    }
}

#[test]
fn a_fragment_follows_the_first_one_of_its_own_datagram_only() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        let later = "192.0.2.9:4000 > 192.0.2.1:30080 udp data=40 frag=24-48";
        // Before the first one.
        lab.check([("eth0 in", &format!("{later} id=7"), "pass")]);
        lab.sees("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=40 id=7 frag=0-24");
        lab.check([
            ("eth0 in", &format!("{later} id=8"), "pass"),
            ("eth0 in", &format!("{later} id=7").replace("udp", "sctp init"), "pass"),
            ("eth0 in", &format!("{later} id=7").replace("2.9:", "2.8:"), "pass"),
            (
                "eth0 in",
                &format!("{later} id=7"),
                "eth0 via 192.0.2.2: 192.0.2.1 > 10.244.2.5 udp ttl=63 id=7 frag=24-48",
            ),
            // Met where the flow is not translated.
            ("eth0 out forwarded", &format!("{later} id=7"), "pass"),
        ]);
        // The flow is lost meanwhile.
        lab.forget_all();
        lab.check([("eth0 in", &format!("{later} id=7"), "pass")]);
    });
}

#[test]
fn a_fragment_that_follows_nobody_is_not_routed_on_from_a_cluster_ip() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        let later = "192.0.2.9:4000 > 10.96.0.10:53 udp data=40 frag=24-48 id=7";
        lab.check([("eth0 in", later, "drop")]);
        lab.sees("eth0 in", "192.0.2.9:4000 > 10.96.0.10:53 udp data=40 id=7 frag=0-24");
        lab.forget_all();
        lab.check([("eth0 in", later, "drop")]);
        lab.counted(&[(Counter::FlowNew, 1), (Counter::FragmentUnknown, 2)]);
    });
}

#[test]
fn a_first_fragment_without_its_ports_is_left_alone() {
    for v6 in [false, true] {
        let lab = &mut Lab::new(Variant { v6, kind: Kind::None, link: Link::Ethernet });
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.check([
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S data=8 id=7 frag=0-16", "pass"),
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S data=8 id=7 frag=16-28", "pass"),
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=8 id=7 frag=0-0", "pass"),
        ]);
        lab.counted(&[]);
    }
}

#[test]
fn an_association_in_fragments_keeps_its_ports_or_is_dropped() {
    every(|lab| {
        // Its CRC32c is over all of the packet, of which the first fragment does not know the length.
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.check([("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 sctp init data=16 id=7 frag=0-24", "drop")]);
        lab.counted(&[(Counter::FlowNew, 1), (Counter::PacketUnsupported, 1)]);
    });
    every(|lab| {
        // To the same port of a backend of this node no port changes.
        Lab::serve_at("10.244.1.5:30080")(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 sctp init data=16 id=7 frag=0-24",
                "pass: 192.0.2.9:4000 > 10.244.1.5:30080 sctp init data=8 id=7 frag=0-24",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 sctp init data=16 id=7 frag=24-32",
                "pass: 192.0.2.9 > 10.244.1.5 sctp id=7 frag=24-32",
            ),
        ]);
    });
}

#[test]
fn a_segment_in_fragments_follows_its_flow() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.sees("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S");
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp A data=60 id=7 frag=0-40",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 tcp A data=20 ttl=63 id=7 frag=0-40",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp A data=60 id=7 frag=40-80",
                "eth0 via 192.0.2.2: 192.0.2.1 > 10.244.2.5 tcp ttl=63 id=7 frag=40-80",
            ),
        ]);
    });
}
