//! `loadBalancerSourceRanges`: who may use a load-balancer address.

use crate::fake::{Fake, NODE, POD, dial, ip, peer};
use proxy_common::{
    abi::{Counter, FrontendFlags, ServiceFlags, TCP, UDP},
    datapath::{Decision, Origin, PacketClient, Reason, Verdict, connect, route, send},
};

/// A load-balancer Service that only 198.51.100.7 may use, of `flags` beside.
fn restricted(cluster: &[&str], flags: ServiceFlags) -> Fake {
    let mut fake = Fake::default();
    for protocol in [TCP, UDP] {
        let service = fake.serve("10.96.0.10:80", protocol, cluster, &[]);
        fake.policy(service, flags.union(ServiceFlags::SOURCE_RANGES));
        fake.frontend(service, FrontendFlags::LOAD_BALANCER, "203.0.113.1:80", protocol);
        fake.frontend(service, FrontendFlags::NODE_PORT, "0.0.0.0:30080", protocol);
        fake.frontend(service, FrontendFlags::EXTERNAL_IP, "198.51.100.1:80", protocol);
        fake.source_ranges.push((service, ip("198.51.100.7")));
    }
    fake.node_address("192.0.2.1");
    fake
}

fn from(origin: Origin, address: &str) -> PacketClient {
    PacketClient { origin, address: ip(address) }
}

#[test]
fn only_clients_in_the_ranges_may_use_the_load_balancer_address() {
    let fake = restricted(&["10.1.0.1:8080"], ServiceFlags::ANY_USABLE);
    let balancer = peer("203.0.113.1:80");
    for origin in [Origin::Outside, Origin::Pod, Origin::Node] {
        let inside = route(&fake, &from(origin, "198.51.100.7"), &balancer, TCP);
        assert!(matches!(inside, Verdict::Forward(_)), "{origin:?} {inside:?}");
        // No exception for pods and the node, which every policy would serve.
        let outside = route(&fake, &from(origin, "198.51.100.8"), &balancer, TCP);
        assert_eq!(outside, Verdict::Drop(Reason::SourceNotAllowed), "{origin:?}");
    }
}

#[test]
fn every_other_frontend_is_open_to_all() {
    let fake = restricted(&["10.1.0.1:8080"], ServiceFlags::ANY_USABLE);
    for address in ["10.96.0.10:80", "192.0.2.1:30080", "198.51.100.1:80"] {
        let verdict = route(&fake, &from(Origin::Outside, "198.51.100.8"), &peer(address), TCP);
        assert!(matches!(verdict, Verdict::Forward(_)), "{address} {verdict:?}");
        let dialled = dial(1, address, TCP);
        assert_eq!(connect(&fake, &POD, &dialled), Decision::Rewrite(peer("10.1.0.1:8080")), "{address}");
    }
}

#[test]
fn the_ranges_are_asked_before_policies_and_endpoints() {
    let balancer = peer("203.0.113.1:80");
    let (inside, outside) = (from(Origin::Outside, "198.51.100.7"), from(Origin::Outside, "198.51.100.8"));
    let nobody = restricted(&[], ServiceFlags::default());
    assert_eq!(route(&nobody, &outside, &balancer, TCP), Verdict::Drop(Reason::SourceNotAllowed));
    assert_eq!(route(&nobody, &inside, &balancer, TCP), Verdict::Reject(Reason::NoEndpoint));
    let local = ServiceFlags::EXTERNAL_LOCAL.union(ServiceFlags::ANY_USABLE);
    let elsewhere = restricted(&["10.2.0.1:8080"], local);
    assert_eq!(route(&elsewhere, &outside, &balancer, TCP), Verdict::Drop(Reason::SourceNotAllowed));
    assert_eq!(route(&elsewhere, &inside, &balancer, TCP), Verdict::Drop(Reason::NoLocalEndpoint));
}

#[test]
fn a_socket_whose_source_is_not_chosen_yet_is_left_to_who_sees_its_packets() {
    let fake = restricted(&["10.1.0.1:8080"], ServiceFlags::ANY_USABLE);
    for client in [POD, NODE] {
        assert_eq!(connect(&fake, &client, &dial(1, "203.0.113.1:80", TCP)), Decision::Pass);
        assert_eq!(send(&fake, &client, &dial(1, "203.0.113.1:80", UDP)), Decision::Pass);
    }
    assert_eq!(fake.counts(), [(Counter::SourceUnknown, 4)]);
    assert!(fake.reverse.borrow().is_empty(), "nothing was translated");
}

#[test]
fn a_socket_is_served_where_there_are_no_ranges() {
    let mut fake = restricted(&["10.1.0.1:8080"], ServiceFlags::default());
    fake.policy(0, ServiceFlags::ANY_USABLE);
    let dialled = dial(1, "203.0.113.1:80", TCP);
    assert_eq!(connect(&fake, &POD, &dialled), Decision::Rewrite(peer("10.1.0.1:8080")));
}

#[test]
fn an_operator_may_let_pods_and_the_node_in() {
    let mut fake = restricted(&["10.1.0.1:8080"], ServiceFlags::ANY_USABLE);
    let outside_only = ServiceFlags::SOURCE_RANGES.union(ServiceFlags::SOURCE_RANGES_OUTSIDE);
    fake.policy(0, ServiceFlags::ANY_USABLE.union(outside_only));
    let balancer = peer("203.0.113.1:80");
    for origin in [Origin::Pod, Origin::Node] {
        let verdict = route(&fake, &from(origin, "198.51.100.8"), &balancer, TCP);
        assert!(matches!(verdict, Verdict::Forward(_)), "{origin:?} {verdict:?}");
    }
    let outside = route(&fake, &from(Origin::Outside, "198.51.100.8"), &balancer, TCP);
    assert_eq!(outside, Verdict::Drop(Reason::SourceNotAllowed));
    // So a socket's source address need not be known.
    let dialled = dial(1, "203.0.113.1:80", TCP);
    assert_eq!(connect(&fake, &POD, &dialled), Decision::Rewrite(peer("10.1.0.1:8080")));
}
