//! What is refused, how it is answered, and what is never answered.

use crate::{
    frame::{Kind, Link},
    lab::{Lab, Variant, every},
};
use proxy_common::abi::{Counter, FrontendFlags, NodeFlags, ServiceFlags, TCP, UDP};

/// A ClusterIP with a TCP and a UDP port, a NodePort and an external address, and nobody behind them.
fn nobody(lab: &mut Lab) {
    for (port, protocol) in [(80, TCP), (53, UDP), (132, proxy_common::abi::SCTP)] {
        let service = lab.serve(&format!("10.96.0.10:{port}"), protocol, &[]);
        lab.frontend(service, FrontendFlags::NODE_PORT, "192.0.2.1:30080", protocol);
        // What no API would take: nobody is there to answer from a multicast address.
        lab.frontend(service, FrontendFlags::EXTERNAL_IP, "224.0.0.9:80", protocol);
    }
}

#[test]
fn a_segment_is_refused_by_the_reset_that_its_sender_believes() {
    every(|lab| {
        nobody(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S seq=7 ttl=9",
                "return: 192.0.2.1:30080 > 192.0.2.9:4000 tcp RA ack=8",
            ),
            // Data with the SYN (TCP Fast Open), and the end of the sequence space.
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S seq=4294967295 data=300",
                "return: 192.0.2.1:30080 > 192.0.2.9:4000 tcp RA ack=300",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:80 tcp F seq=7 data=1",
                "return: 10.96.0.10:80 > 192.0.2.9:4000 tcp RA ack=9",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:80 tcp SF seq=7",
                "return: 10.96.0.10:80 > 192.0.2.9:4000 tcp RA ack=9",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:80 tcp P seq=7 data=3",
                "return: 10.96.0.10:80 > 192.0.2.9:4000 tcp RA ack=10",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:80 tcp PA seq=7 ack=99 data=1400",
                "return: 10.96.0.10:80 > 192.0.2.9:4000 tcp R seq=99",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:80 tcp SA seq=7 ack=99",
                "return: 10.96.0.10:80 > 192.0.2.9:4000 tcp R seq=99",
            ),
            ("eth0 in", "192.0.2.9:4000 > 10.96.0.10:80 tcp R seq=7", "drop"),
            ("eth0 in", "192.0.2.9:4000 > 10.96.0.10:80 tcp RA seq=7 ack=9", "drop"),
            // What the node itself sends is answered as if it had come by that device.
            (
                "eth0 out",
                "192.0.2.1:4000 > 10.96.0.10:80 tcp S seq=7",
                "return: 10.96.0.10:80 > 192.0.2.1:4000 tcp RA ack=8",
            ),
        ]);
        lab.counted(&[(Counter::PacketNoEndpoint, 10)]);
        assert_eq!(lab.flows(), 0);
    });
}

#[test]
fn a_datagram_is_refused_by_port_unreachable() {
    every(|lab| {
        nobody(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 udp data=5 ttl=9",
                "return: 192.0.2.1 > 192.0.2.9 icmp port-unreachable [192.0.2.9:4000 > 192.0.2.1:30080 udp ttl=9]",
            ),
            // A whole one: what was in it is verified with it.
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:53 udp",
                "return: 10.96.0.10 > 192.0.2.9 icmp port-unreachable [192.0.2.9:4000 > 10.96.0.10:53 udp]",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:53 udp data=12",
                "return: 10.96.0.10 > 192.0.2.9 icmp port-unreachable \
                 [192.0.2.9:4000 > 10.96.0.10:53 udp data=12]",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:53 udp data=1400 nosum",
                "return: 10.96.0.10 > 192.0.2.9 icmp port-unreachable [192.0.2.9:4000 > 10.96.0.10:53 udp]",
            ),
            // An INIT is known by its tag, which stands in bytes 16 to 19 (net/sctp/input.c, sctp_err_lookup).
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 sctp init data=16",
                "return: 192.0.2.1 > 192.0.2.9 icmp port-unreachable [192.0.2.9:4000 > 192.0.2.1:30080 sctp]",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 sctp shutdown data=4 seq=3",
                "return: 192.0.2.1 > 192.0.2.9 icmp port-unreachable \
                 [192.0.2.9:4000 > 192.0.2.1:30080 sctp shutdown seq=3 data=4]",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 sctp shutdown-complete seq=3",
                "return: 192.0.2.1 > 192.0.2.9 icmp port-unreachable \
                 [192.0.2.9:4000 > 192.0.2.1:30080 sctp shutdown-complete seq=3]",
            ),
        ]);
        lab.counted(&[(Counter::PacketNoEndpoint, 7)]);
    });
}

#[test]
fn nothing_but_its_ports_is_reached_at_a_cluster_ip() {
    every(|lab| {
        nobody(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:81 tcp S",
                "return: 10.96.0.10:81 > 192.0.2.9:4000 tcp RA ack=1",
            ),
            (
                "cni0 in",
                "10.244.1.7:4000 > 10.96.0.10:80 udp",
                "return: 10.96.0.10 > 10.244.1.7 icmp port-unreachable [10.244.1.7:4000 > 10.96.0.10:80 udp]",
            ),
            (
                "eth0 in",
                "192.0.2.9 > 10.96.0.10 icmp echo data=56 number=9",
                "return: 10.96.0.10 > 192.0.2.9 icmp port-unreachable [192.0.2.9 > 10.96.0.10 icmp]",
            ),
            // GRE; the last one has less than the eight bytes that are carried as a rule.
            (
                "eth0 in",
                "192.0.2.9 > 10.96.0.10 47 data=100",
                "return: 10.96.0.10 > 192.0.2.9 icmp port-unreachable [192.0.2.9 > 10.96.0.10 47]",
            ),
            (
                "eth0 in",
                "192.0.2.9 > 10.96.0.10 47 data=7",
                "return: 10.96.0.10 > 192.0.2.9 icmp port-unreachable [192.0.2.9 > 10.96.0.10 47]",
            ),
        ]);
        lab.counted(&[(Counter::PacketUnknownPort, 5)]);
    });
}

#[test]
fn an_error_is_not_answered_by_an_error() {
    every(|lab| {
        nobody(lab);
        for message in [
            "port-unreachable",
            "host-unreachable",
            "too-big",
            "time-exceeded",
            "parameter-problem",
            "redirect",
        ] {
            let packet = format!("192.0.2.9 > 10.96.0.10 icmp {message} [10.96.0.10:80 > 192.0.2.9:4 tcp A]");
            lab.check([("eth0 in", &packet, "drop")]);
        }
    });
}

#[test]
fn what_has_no_single_sender_or_receiver_is_not_answered() {
    let lab = &mut Lab::v4();
    nobody(lab);
    for source in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"] {
        for protocol in ["tcp S", "udp"] {
            lab.check([("eth0 in", &format!("{source}:4 > 192.0.2.1:30080 {protocol}"), "drop")]);
        }
    }
    lab.check([
        ("eth0 in", "192.0.2.9:4 > 224.0.0.9:80 tcp S", "drop"),
        ("eth0 in", "192.0.2.9:4 > 224.0.0.9:80 udp", "drop"),
    ]);
    // Sent to everybody on the link.
    let mut frame = lab.frame("eth0 in", "192.0.2.9:4 > 192.0.2.1:30080 tcp S");
    frame.bytes[..6].fill(0xff);
    assert_eq!(lab.translate(&mut frame), "drop");

    let lab = &mut Lab::v6();
    nobody(lab);
    for source in ["::", "::1", "ff02::1", "ff05::99"] {
        for protocol in ["tcp S", "udp"] {
            lab.check([("eth0 in", &format!("[{source}]:4 > [fd00::10:96:0:10]:80 {protocol}"), "drop")]);
        }
    }
}

#[test]
fn a_packet_of_a_corrupt_or_overlong_header_is_not_answered() {
    let lab = &mut Lab::v4();
    nobody(lab);
    for packet in ["192.0.2.9:4 > 192.0.2.1:30080 tcp S", "192.0.2.9:4 > 192.0.2.1:30080 udp"] {
        let mut frame = lab.frame("eth0 in", packet);
        frame.bytes[14 + 10] ^= 1;
        assert_eq!(lab.translate(&mut frame), "drop");
    }
}

#[test]
fn what_is_in_front_of_the_transport_header_goes_from_a_reset_and_stays_in_an_error() {
    every(|lab| {
        nobody(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S options",
                "return: 192.0.2.1:30080 > 192.0.2.9:4000 tcp RA ack=1",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 udp data=30 options",
                "return: 192.0.2.1 > 192.0.2.9 icmp port-unreachable \
                 [192.0.2.9:4000 > 192.0.2.1:30080 udp options]",
            ),
        ]);
        if lab.variant.v6 {
            let extras = "options destination routing atomic";
            let tcp = format!("192.0.2.9:4000 > 192.0.2.1:30080 tcp S {extras} auth");
            let udp = format!("192.0.2.9:4000 > 192.0.2.1:30080 udp {extras} auth");
            let error = format!("return: 192.0.2.1 > 192.0.2.9 icmp port-unreachable [{udp}]");
            lab.check([
                ("eth0 in", &tcp, "return: 192.0.2.1:30080 > 192.0.2.9:4000 tcp RA ack=1"),
                ("eth0 in", &udp, &error),
            ]);
        }
    });
}

#[test]
fn only_the_first_fragment_is_answered() {
    every(|lab| {
        nobody(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 udp data=40 frag=0-24 id=7",
                "return: 192.0.2.1 > 192.0.2.9 icmp port-unreachable \
                 [192.0.2.9:4000 > 192.0.2.1:30080 udp id=7 frag=0-20]",
            ),
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=40 frag=24-48 id=7", "pass"),
            (
                "eth0 in",
                "192.0.2.9 > 10.96.0.10 47 data=40 frag=0-24 id=7",
                "return: 10.96.0.10 > 192.0.2.9 icmp port-unreachable \
                 [192.0.2.9 > 10.96.0.10 47 id=7 frag=0-20]",
            ),
            ("eth0 in", "192.0.2.9 > 10.96.0.10 47 data=40 frag=24-40 id=7", "drop"),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp A ack=9 data=40 frag=0-24 id=8",
                "return: 192.0.2.1:30080 > 192.0.2.9:4000 tcp R seq=9",
            ),
            // How long it is, the last fragment knows.
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S data=40 frag=0-24 id=8", "drop"),
        ]);
    });
}

#[test]
fn a_policy_drops_without_an_answer() {
    every(|lab| {
        let service = lab.serve("10.96.0.10:80", TCP, &["10.244.2.5:8080"]);
        lab.frontend(service, FrontendFlags::NODE_PORT, "192.0.2.1:30080", TCP);
        lab.frontend(service, FrontendFlags::LOAD_BALANCER, "198.51.100.5:80", TCP);
        let ranges = ServiceFlags::SOURCE_RANGES;
        lab.world
            .fake
            .policy(service, ServiceFlags::ANY_USABLE.union(ServiceFlags::EXTERNAL_LOCAL).union(ranges));
        lab.world.fake.node = NodeFlags::SERVICE_CIDRS;
        let unallocated = lab.ip("10.96.0.99");
        lab.world.fake.networks.insert(unallocated, 3);
        lab.check([
            ("eth0 in", "192.0.2.9:4 > 192.0.2.1:30080 tcp S", "drop"),
            ("eth0 in", "192.0.2.9:4 > 198.51.100.5:80 tcp S", "drop"),
            ("eth0 in", "192.0.2.9:4 > 10.96.0.99:80 tcp S", "drop"),
            ("eth0 in", "192.0.2.9 > 10.96.0.99 icmp echo", "drop"),
            ("eth0 in", "192.0.2.9 > 10.96.0.99 47 data=100", "drop"),
            ("eth0 in", "192.0.2.9:4 > 198.51.100.6:80 tcp S", "pass"),
            ("eth0 in", "192.0.2.9:4 > 192.0.2.1:22 tcp S", "pass"),
            ("eth0 in", "192.0.2.9 > 192.0.2.1 icmp echo", "pass"),
        ]);
        lab.counted(&[
            (Counter::PacketNoLocalEndpoint, 1),
            (Counter::PacketUnallocated, 3),
            (Counter::PacketSourceNotAllowed, 1),
        ]);
    });
}

#[test]
fn what_cannot_be_built_is_dropped() {
    every(|lab| {
        nobody(lab);
        for packet in ["192.0.2.9:4 > 192.0.2.1:30080 tcp S options", "192.0.2.9:4 > 192.0.2.1:30080 udp"] {
            let mut frame = lab.frame("eth0 in", packet);
            frame.no_memory = true;
            assert_eq!(lab.translate(&mut frame), "drop");
        }
    });
    // bpf_skb_adjust_room knows no packet that begins with a tag.
    for tags in [1, 2] {
        for v6 in [false, true] {
            let lab = &mut Lab::new(Variant { v6, kind: Kind::Partial, link: Link::Tagged(tags) });
            nobody(lab);
            lab.check([
                (
                    "eth0 in",
                    "192.0.2.9:4 > 192.0.2.1:30080 tcp S",
                    "return: 192.0.2.1:30080 > 192.0.2.9:4 tcp RA ack=1",
                ),
                ("eth0 in", "192.0.2.9:4 > 192.0.2.1:30080 tcp S options", "drop"),
                ("eth0 in", "192.0.2.9:4 > 192.0.2.1:30080 udp", "drop"),
            ]);
        }
    }
}
