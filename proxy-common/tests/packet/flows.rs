//! Flows from their first packet to their answers: where backends and clients are, and whom the backend sees.

use crate::lab::{Lab, every};
use proxy_common::abi::{Counter, FrontendFlags, PacketFlags, TCP};

#[test]
fn a_backend_of_this_node_sees_the_client_and_its_answer_is_restored_on_the_way_out() {
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S seq=7",
                "pass: 192.0.2.9:4000 > 10.244.1.5:8080 tcp S seq=7",
            ),
            (
                "eth0 out forwarded",
                "10.244.1.5:8080 > 192.0.2.9:4000 tcp SA seq=9 ack=8",
                "pass: 192.0.2.1:30080 > 192.0.2.9:4000 tcp SA seq=9 ack=8",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp PA data=501",
                "pass: 192.0.2.9:4000 > 10.244.1.5:8080 tcp PA data=501",
            ),
            (
                "eth0 in",
                "203.0.113.7:4000 > 10.96.0.10:53 udp data=5",
                "pass: 203.0.113.7:4000 > 10.244.1.5:8080 udp data=5",
            ),
            (
                "eth0 out forwarded",
                "10.244.1.5:8080 > 203.0.113.7:4000 udp data=6",
                "pass: 10.96.0.10:53 > 203.0.113.7:4000 udp data=6",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 sctp init data=16 seq=5",
                "pass: 192.0.2.9:4000 > 10.244.1.5:8080 sctp init seq=5 data=16",
            ),
            (
                "eth0 out forwarded",
                "10.244.1.5:8080 > 192.0.2.9:4000 sctp init-ack data=20",
                "pass: 192.0.2.1:30080 > 192.0.2.9:4000 sctp init-ack data=20",
            ),
        ]);
        lab.counted(&[(Counter::FlowNew, 3)]);
        assert_eq!(lab.flows(), 6);
    });
}

#[test]
fn a_backend_elsewhere_sees_the_node_and_answers_it() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 tcp S ttl=63",
            ),
            (
                "eth0 in",
                "10.244.2.5:8080 > 192.0.2.1:50000 tcp SA ttl=60",
                "eth0 via 192.0.2.9: 192.0.2.1:30080 > 192.0.2.9:4000 tcp SA ttl=59",
            ),
            (
                "eth0 in",
                "203.0.113.7:53 > 10.96.0.10:53 udp data=33",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 udp data=33 ttl=63",
            ),
            (
                "eth0 in",
                "10.244.2.5:8080 > 192.0.2.1:50000 udp",
                "eth0 via 192.0.2.254: 10.96.0.10:53 > 203.0.113.7:53 udp ttl=63",
            ),
            (
                "eth0 in",
                "203.0.113.7:7 > 192.0.2.1:30080 sctp init data=16",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 sctp init data=16 ttl=63",
            ),
            (
                "eth0 in",
                "10.244.2.5:8080 > 192.0.2.1:50000 sctp init-ack data=16",
                "eth0 via 192.0.2.254: 192.0.2.1:30080 > 203.0.113.7:7 sctp init-ack data=16 ttl=63",
            ),
        ]);
        lab.counted(&[(Counter::FlowNew, 3)]);
    });
}

#[test]
fn masquerade_always_hides_the_client_from_a_backend_of_this_node() {
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.world.settings.flags = PacketFlags::MASQUERADE_ALWAYS;
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S",
                "cni0 via 10.244.1.5: 10.244.1.1:50000 > 10.244.1.5:8080 tcp S ttl=63",
            ),
            (
                "cni0 in",
                "10.244.1.5:8080 > 10.244.1.1:50000 tcp SA",
                "eth0 via 192.0.2.9: 192.0.2.1:30080 > 192.0.2.9:4000 tcp SA ttl=63",
            ),
        ]);
    });
}

#[test]
fn a_pod_reaches_itself_its_neighbour_and_a_pod_elsewhere() {
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        let elsewhere = lab.serve("10.96.0.11:80", TCP, &["10.244.3.5:8080"]);
        lab.frontend(elsewhere, FrontendFlags::EXTERNAL_IP, "198.51.100.7:80", TCP);
        lab.check([
            // Itself: it would take an answer to itself for another connection.
            (
                "cni0 in",
                "10.244.1.5:4000 > 10.96.0.10:80 tcp S",
                "cni0 via 10.244.1.5: 10.244.1.1:50000 > 10.244.1.5:8080 tcp S ttl=63",
            ),
            (
                "cni0 in",
                "10.244.1.5:8080 > 10.244.1.1:50000 tcp SA",
                "cni0 via 10.244.1.5: 10.96.0.10:80 > 10.244.1.5:4000 tcp SA ttl=63",
            ),
            // Its neighbour on the same bridge, which would answer it past the node.
            (
                "cni0 in",
                "10.244.1.6:4000 > 10.96.0.10:53 udp data=3",
                "cni0 via 10.244.1.5: 10.244.1.1:50000 > 10.244.1.5:8080 udp data=3 ttl=63",
            ),
            (
                "cni0 in",
                "10.244.1.6:4000 > 198.51.100.7:80 tcp S",
                "vxlan via 10.244.3.0: 10.244.3.1:50000 > 10.244.3.5:8080 tcp S ttl=63",
            ),
            (
                "vxlan in",
                "10.244.3.5:8080 > 10.244.3.1:50000 tcp SA",
                "cni0 via 10.244.1.6: 198.51.100.7:80 > 10.244.1.6:4000 tcp SA ttl=63",
            ),
        ]);
    });
}

#[test]
fn a_pod_whose_packets_pass_the_node_untouched_is_left_alone() {
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.check([
            ("cni0 in", "10.244.1.5:8080 > 10.244.2.9:4000 tcp S", "pass"),
            ("eth0 out forwarded", "10.244.1.5:8080 > 10.244.2.9:4000 tcp S", "pass"),
            ("eth0 in", "10.244.2.9:4000 > 10.244.1.5:8080 tcp SA", "pass"),
            ("eth0 in", "192.0.2.9 > 192.0.2.1 icmp echo data=56", "pass"),
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:22 tcp S", "pass"),
            ("other in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S", "pass"),
        ]);
        lab.counted(&[]);
        assert_eq!(lab.flows(), 0);
    });
}

#[test]
fn an_answer_passes_the_pods_device_before_it_is_restored() {
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.check([
            ("eth0 in", "192.0.2.9:4 > 192.0.2.1:30080 tcp S", "pass: 192.0.2.9:4 > 10.244.1.5:8080 tcp S"),
            ("cni0 out forwarded", "192.0.2.9:4 > 10.244.1.5:8080 tcp S", "pass"),
            ("cni0 in", "10.244.1.5:8080 > 192.0.2.9:4 tcp SA", "pass"),
            (
                "eth0 out forwarded",
                "10.244.1.5:8080 > 192.0.2.9:4 tcp SA",
                "pass: 192.0.2.1:30080 > 192.0.2.9:4 tcp SA",
            ),
        ]);
    });
}

#[test]
fn the_node_itself_is_a_client_as_its_packets_leave() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.check([
            (
                "eth0 out",
                "192.0.2.1:4000 > 10.96.0.10:53 udp data=3",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 udp data=3 ttl=63",
            ),
            (
                "eth0 in",
                "10.244.2.5:8080 > 192.0.2.1:50000 udp data=3",
                "into eth0: 10.96.0.10:53 > 192.0.2.1:4000 udp data=3",
            ),
        ]);
    });
    // Whose pods are here: it leaves by the pods' device, and is seen to be answered on the one it was sent by.
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.check([
            (
                "eth0 out",
                "192.0.2.1:4000 > 10.96.0.10:80 tcp S",
                "cni0 via 10.244.1.5: 10.244.1.1:50000 > 10.244.1.5:8080 tcp S ttl=63",
            ),
            (
                "cni0 in",
                "10.244.1.5:8080 > 10.244.1.1:50000 tcp SA",
                "into eth0: 10.96.0.10:80 > 192.0.2.1:4000 tcp SA",
            ),
        ]);
    });
}

#[test]
fn a_pod_may_be_met_only_as_its_packets_leave_the_node() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.check([
            (
                "eth0 out forwarded",
                "10.244.1.6:4000 > 10.96.0.10:80 tcp S ttl=63",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 tcp S ttl=62",
            ),
            (
                "eth0 in",
                "10.244.2.5:8080 > 192.0.2.1:50000 tcp SA",
                "cni0 via 10.244.1.6: 10.96.0.10:80 > 10.244.1.6:4000 tcp SA ttl=63",
            ),
        ]);
    });
}

#[test]
fn a_backend_in_the_nodes_own_namespace_gets_the_packet_from_the_stack() {
    every(|lab| {
        Lab::serve_at("192.0.2.1:9100")(lab);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S",
                "pass: 192.0.2.9:4000 > 192.0.2.1:9100 tcp S",
            ),
            (
                "eth0 out",
                "192.0.2.1:9100 > 192.0.2.9:4000 tcp SA",
                "pass: 192.0.2.1:30080 > 192.0.2.9:4000 tcp SA",
            ),
            // What the node sends to itself leaves by no device, so it cannot have been met here.
            ("eth0 out", "192.0.2.1:4000 > 10.96.0.10:80 tcp S", "drop"),
        ]);
        lab.counted(&[(Counter::FlowNew, 1), (Counter::PacketUnreturnable, 1)]);
    });
}
