//! Flows from their first packet to their answers: where backends and clients are, and whom the backend sees.

use crate::lab::{Lab, every};
use proxy_common::abi::{Counter, PacketFlags};

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
