//! Which clients of packets may reach which endpoints: the policies are the datapath's, who a client is shows here.

use crate::{
    lab::{Lab, every},
    net::CNI0,
    text::Datagram,
};
use proxy_common::abi::{
    Address, BackendRef, Counter, DeviceFlags, FrontendFlags, Network, ServiceFlags, TCP, TraceEvent,
    TraceHook, TraceOutcome, Tuple,
};
use std::net::SocketAddr;

const ANY_USABLE: ServiceFlags = ServiceFlags::ANY_USABLE;

/// Where a packet went: the destination that it left with.
fn endpoint(lab: &Lab, place: &str, packet: &str) -> String {
    let becomes = lab.sees(place, packet);
    match becomes.split_once(": ") {
        Some((_, packet)) => packet.parse::<Datagram>().unwrap().destination.to_string(),
        None => becomes,
    }
}

/// A Service with an endpoint here and one elsewhere; `externalTrafficPolicy: Local`.
fn local_policy(lab: &mut Lab) -> u32 {
    let service = lab.serve("10.96.0.10:80", TCP, &["10.244.1.5:8080", "10.244.2.5:8080"]);
    lab.frontend(service, FrontendFlags::NODE_PORT, "192.0.2.1:30080", TCP);
    lab.frontend(service, FrontendFlags::LOAD_BALANCER, "198.51.100.5:80", TCP);
    lab.world.fake.policy(service, ANY_USABLE.union(ServiceFlags::EXTERNAL_LOCAL));
    lab.world.settings.ports = 1000;
    service
}

/// The endpoints that clients at 64 ports of one address reach.
fn endpoints(lab: &Lab, place: &str, source: &str, destination: &str) -> Vec<String> {
    let mut all: Vec<_> = (1..=64)
        .map(|port| endpoint(lab, place, &format!("{source}:{port} > {destination} tcp S")))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_local_policy_binds_clients_from_outside_and_nobody_else() {
    every(|lab| {
        local_policy(lab);
        let here = [lab.text("10.244.1.5:8080")];
        let both = [lab.text("10.244.1.5:8080"), lab.text("10.244.2.5:8080")];
        for frontend in ["192.0.2.1:30080", "198.51.100.5:80"] {
            assert_eq!(endpoints(lab, "eth0 in", "192.0.2.9", frontend), here);
            // Pods, by the device they are behind, and the node itself.
            assert_eq!(endpoints(lab, "cni0 in", "10.244.1.7", frontend), both);
            assert_eq!(endpoints(lab, "eth0 out", "192.0.2.1", frontend), both);
            // A pod met on the way out is known by its address.
            assert_eq!(endpoints(lab, "eth0 out forwarded", "10.244.2.7", frontend), here);
            let pod = lab.ip("10.244.2.8");
            lab.world.fake.networks.insert(pod, Network::Pods as u32);
            assert_eq!(endpoints(lab, "eth0 out forwarded", "10.244.2.8", frontend), both);
        }
        assert_eq!(endpoints(lab, "eth0 in", "192.0.2.9", "10.96.0.10:80"), both);
    });
}

#[test]
fn who_says_from_elsewhere_that_he_is_the_node_is_not() {
    every(|lab| {
        local_policy(lab);
        let here = lab.text("10.244.1.5:8080");
        assert_eq!(endpoints(lab, "eth0 in", "192.0.2.1", "192.0.2.1:30080"), [here.as_str()]);
        for port in 1..=64 {
            let mut frame = lab.frame("eth0 in", &format!("192.0.2.8:{port} > 192.0.2.1:30080 tcp S"));
            frame.made_here = true;
            assert!(lab.translate(&mut frame).contains(&here));
        }
        // The backend answers him by way of the node's own stack, so it is shown the node.
        let packet = "192.0.2.1:99 > 192.0.2.1:30080 tcp S";
        let there = lab.sees("eth0 in", packet);
        assert!(there.starts_with("cni0 via ") && !there.contains(&lab.text("192.0.2.1")), "{there}");
        // Nor does he change what becomes of a flow of the node's.
        let flow = "192.0.2.1:4000 > 198.51.100.5:80 tcp S";
        let there = endpoint(lab, "eth0 out", flow);
        lab.check([("eth0 in", flow, "pass")]);
        assert_eq!(endpoint(lab, "eth0 out", flow), there);
    });
}

#[test]
fn source_ranges_bind_load_balancer_addresses() {
    every(|lab| {
        let service = local_policy(lab);
        lab.world.fake.policy(service, ANY_USABLE.union(ServiceFlags::SOURCE_RANGES));
        let allowed = lab.ip("192.0.2.9");
        lab.world.fake.source_ranges.push((service, allowed));
        let one = |lab: &Lab, place, packet: &str| endpoint(lab, place, &format!("{packet} tcp S"));
        assert_ne!(one(lab, "eth0 in", "192.0.2.9:1 > 198.51.100.5:80"), "drop");
        assert_eq!(one(lab, "eth0 in", "192.0.2.8:1 > 198.51.100.5:80"), "drop");
        assert_eq!(one(lab, "cni0 in", "10.244.1.7:1 > 198.51.100.5:80"), "drop");
        assert_ne!(one(lab, "eth0 in", "192.0.2.8:1 > 192.0.2.1:30080"), "drop");
        // A choice of the operator's: they bind clients outside of the cluster only.
        let outside = ServiceFlags::SOURCE_RANGES.union(ServiceFlags::SOURCE_RANGES_OUTSIDE);
        lab.world.fake.policy(service, ANY_USABLE.union(outside));
        assert_eq!(one(lab, "eth0 in", "192.0.2.8:1 > 198.51.100.5:80"), "drop");
        assert_ne!(one(lab, "cni0 in", "10.244.1.7:1 > 198.51.100.5:80"), "drop");
        lab.counted(&[(Counter::FlowNew, 3), (Counter::PacketSourceNotAllowed, 3)]);
    });
}

#[test]
fn a_client_keeps_its_endpoint_by_its_address() {
    every(|lab| {
        let service = local_policy(lab);
        lab.world.fake.policy(service, ANY_USABLE);
        assert_eq!(endpoints(lab, "eth0 in", "192.0.2.9", "192.0.2.1:30080").len(), 2);
        lab.world.fake.services[service as usize].affinity_seconds = 60;
        for client in ["192.0.2.10", "192.0.2.11", "192.0.2.12"] {
            let kept = endpoints(lab, "eth0 in", client, "192.0.2.1:30080");
            assert_eq!(kept.len(), 1);
            // By whatever frontend it comes.
            assert_eq!(endpoints(lab, "eth0 in", client, "198.51.100.5:80"), kept);
        }
    });
}

#[test]
fn loopback_addresses_are_nobodys_but_the_nodes() {
    every(|lab| {
        let service = local_policy(lab);
        lab.frontend(service, FrontendFlags::NODE_PORT, "127.0.0.1:30080", TCP);
        let to = if lab.variant.v6 { "[::1]:30080" } else { "127.0.0.1:30080" };
        lab.check([("eth0 in", &format!("192.0.2.9:1 > {to} tcp S"), "pass")]);
        lab.counted(&[]);
    });
}

#[test]
fn a_map_index_that_leads_nowhere_refuses_and_is_counted() {
    every(|lab| {
        let service = local_policy(lab);
        lab.world.fake.slots.clear();
        lab.check([(
            "eth0 in",
            "192.0.2.9:1 > 192.0.2.1:30080 tcp S",
            "return: 192.0.2.1:30080 > 192.0.2.9:1 tcp RA ack=1",
        )]);
        lab.world.fake.services.truncate(service as usize);
        lab.check([(
            "eth0 in",
            "192.0.2.9:1 > 192.0.2.1:30080 tcp S",
            "return: 192.0.2.1:30080 > 192.0.2.9:1 tcp RA ack=1",
        )]);
        lab.counted(&[(Counter::Inconsistent, 2)]);
    });
}

#[test]
fn what_is_decided_is_shown_to_who_watches() {
    every(|lab| {
        let service = local_policy(lab);
        lab.world.watched = true;
        lab.wait(5);
        let packets = [
            ("eth0 in", "192.0.2.9:1 > 192.0.2.1:30080 tcp S"),
            // Known by now.
            ("eth0 in", "192.0.2.9:1 > 192.0.2.1:30080 tcp A"),
            ("eth0 in", "192.0.2.9:1 > 192.0.2.1:22 tcp S"),
            ("eth0 out", "192.0.2.1:1 > 10.96.0.10:81 tcp S"),
        ];
        for (place, packet) in packets {
            lab.sees(place, packet);
        }
        lab.world.fake.policy(service, ANY_USABLE.union(ServiceFlags::SOURCE_RANGES));
        lab.sees("eth0 in", "192.0.2.9:2 > 198.51.100.5:80 tcp S");
        let shown = lab.world.shown.borrow();
        let say = |event: &TraceEvent| {
            let end = |ip: Address, port: u16| SocketAddr::new(ip.to_ip(), u16::from_be(port)).to_string();
            let tuple = |tuple: &Tuple| {
                assert_eq!(tuple.protocol, u32::from(TCP));
                format!(
                    "{} > {}",
                    end(tuple.source, tuple.source_port),
                    end(tuple.destination, tuple.destination_port)
                )
            };
            assert_eq!((event.time, event.cookie, event.device), (5_000_000_000, 0, 1));
            (
                tuple(&event.before),
                tuple(&event.after),
                event.hook,
                event.outcome,
                event.counter,
                event.service,
            )
        };
        let (forwarded, rejected, dropped) =
            (TraceOutcome::Forwarded as u16, TraceOutcome::Rejected as u16, TraceOutcome::Dropped as u16);
        let (ingress, egress) = (TraceHook::Ingress as u16, TraceHook::Egress as u16);
        let [first, second, third] =
            ["192.0.2.9:1 > 192.0.2.1:30080", "192.0.2.1:1 > 10.96.0.10:81", "192.0.2.9:2 > 198.51.100.5:80"]
                .map(|tuple| lab.text(tuple));
        let after = lab.text("192.0.2.9:1 > 10.244.1.5:8080");
        let [new, unknown, ranges] =
            [Counter::FlowNew, Counter::PacketUnknownPort, Counter::PacketSourceNotAllowed]
                .map(|counter| counter as u32);
        let none = TraceEvent::NO_SERVICE;
        assert_eq!(
            shown.iter().map(say).collect::<Vec<_>>(),
            [
                (first, after, ingress, forwarded, new, service),
                (second.clone(), second, egress, rejected, unknown, none),
                (third.clone(), third, ingress, dropped, ranges, none),
            ]
        );
        assert_eq!(
            shown.iter().map(|event| event.backend).collect::<Vec<_>>(),
            [BackendRef::new(0, 0), BackendRef::default(), BackendRef::default()]
        );
    });
}

#[test]
fn a_device_of_pods_makes_pods_of_all_that_comes_by_it() {
    every(|lab| {
        local_policy(lab);
        let both = endpoints(lab, "cni0 in", "203.0.113.9", "192.0.2.1:30080");
        assert_eq!(both.len(), 2);
        lab.world.devices.get_mut(&CNI0).unwrap().flags = DeviceFlags::default();
        assert_eq!(endpoints(lab, "cni0 in", "203.0.113.10", "192.0.2.1:30080").len(), 1);
    });
}
