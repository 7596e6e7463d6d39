//! Flows that the kernel translates since kube-proxy was on the node: they go on as they are.

use crate::lab::{Lab, every};
use proxy_common::abi::{Counter, PacketFlags};

/// What tells a connection of before from a new one is how it begins. UDP does not tell.
#[test]
fn connections_from_before_are_left_to_the_kernel_and_new_ones_are_served() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.world.settings.flags = PacketFlags::LEAVE_UNKNOWN;
        lab.check([
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp PA data=9", "pass"),
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp R", "pass"),
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 sctp data data=16", "pass"),
            (
                "eth0 in",
                "192.0.2.9:4001 > 192.0.2.1:30080 tcp S",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 tcp S ttl=63",
            ),
            (
                "eth0 in",
                "192.0.2.9:4001 > 192.0.2.1:30080 tcp PA data=9",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 tcp PA data=9 ttl=63",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 10.96.0.10:53 udp data=5",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 udp data=5 ttl=63",
            ),
        ]);
        lab.counted(&[(Counter::FlowNew, 2)]);
    });
}

/// An endpoint that answers to an address of the node, at a port that could be ours: kube-proxy had it stand for a client.
#[test]
fn a_port_that_kube_proxy_gave_to_a_flow_is_not_given_to_another() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.world.settings.flags = PacketFlags::LEAVE_UNKNOWN;
        let new = "192.0.2.9:4001 > 192.0.2.1:30080 tcp S";
        lab.check([
            ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 tcp A data=9", "pass"),
            ("eth0 in", new, "drop"),
            ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 tcp A data=9", "pass"),
        ]);
        // It is kept as long as it is used: for two minutes after each packet, and until it ends.
        lab.wait(119);
        lab.check([
            ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 tcp A data=9", "pass"),
            ("eth0 in", new, "drop"),
            ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 tcp R", "pass"),
        ]);
        lab.counted(&[(Counter::PortsExhausted, 2)]);
        lab.wait(3);
        lab.check([("eth0 in", new, "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 tcp S ttl=63")]);
    });
}

/// kube-proxy's rules for a Service without endpoints meet new connections alone.
#[test]
fn what_new_connections_are_refused_does_not_end_those_of_before() {
    every(|lab| {
        lab.serve("10.96.0.10:80", proxy_common::abi::TCP, &[]);
        lab.world.settings.flags = PacketFlags::LEAVE_UNKNOWN;
        lab.check([("eth0 in", "192.0.2.9:4000 > 10.96.0.10:80 tcp A data=9", "pass")]);
        lab.counted(&[]);
        lab.world.settings.flags = PacketFlags::default();
        lab.check([("eth0 in", "192.0.2.9:4000 > 10.96.0.10:80 tcp R", "drop")]);
        lab.counted(&[(Counter::PacketNoEndpoint, 1)]);
    });
}
