//! Session affinity: a client's new flows go where its last one went.

use crate::fake::{Fake, NODE, OTHER_POD, POD, Socket, dial, ip, peer};
use proxy_common::{
    abi::{Address, BackendFlags, Counter, FrontendFlags, ServiceFlags, SocketPeer, TCP, UDP},
    datapath::{Client, Decision, Origin, PacketClient, Verdict, connect, pick_backend, route, send},
};

const SECOND: u64 = 1_000_000_000;

const FIRST: &str = "10.1.0.1:8080";
const SECOND_ONE: &str = "10.1.0.2:8080";
const LAST: &str = "10.1.0.3:8080";

/// Three endpoints of which two are on this node, and an affinity of ten seconds.
fn sticky() -> Fake {
    let mut fake = Fake::default();
    let service = fake.serve("10.96.0.10:80", TCP, &[FIRST, SECOND_ONE, LAST], &[SECOND_ONE, LAST]);
    fake.services[service as usize].affinity_seconds = 10;
    fake.services[service as usize].flags = ServiceFlags::ANY_USABLE;
    fake
}

/// Connects to the ClusterIP; `random` would pick the first (0) or the last endpoint (the maximum).
fn dial_web(fake: &Fake, client: &Socket, at: u64, random: u32) -> Decision {
    fake.now.set(at * SECOND);
    fake.random.set(random);
    connect(fake, client, &dial(at, "10.96.0.10:80", TCP))
}

fn to(endpoint: &str) -> Decision {
    Decision::Rewrite(peer(endpoint))
}

/// What a packet of a client is sent to.
fn packet_to(fake: &Fake, client: &impl Client, address: &str, random: u32) -> Option<SocketPeer> {
    fake.random.set(random);
    let Verdict::Forward(route) = route(fake, client, &peer(address), TCP) else { return None };
    let (_, backend) = pick_backend(fake, client, &route)?;
    Some(SocketPeer::new(backend.address, backend.port))
}

#[test]
fn a_client_keeps_its_endpoint_and_every_flow_starts_the_timeout_again() {
    let fake = sticky();
    assert_eq!(dial_web(&fake, &POD, 100, 0), to(FIRST));
    for at in [101, 111, 121, 131] {
        assert_eq!(dial_web(&fake, &POD, at, u32::MAX), to(FIRST), "at {at} s");
    }
    assert_eq!(fake.counted(Counter::AffinityKept), 4);
    // Eleven seconds without a flow.
    assert_eq!(dial_web(&fake, &POD, 142, u32::MAX), to(LAST));
    assert_eq!(dial_web(&fake, &POD, 143, 0), to(LAST), "the new endpoint is kept from then on");
    assert_eq!(fake.counted(Counter::AffinityNew), 2);
}

#[test]
fn a_clock_that_is_read_on_another_cpu_a_little_earlier_expires_nothing() {
    let fake = sticky();
    assert_eq!(dial_web(&fake, &POD, 100, 0), to(FIRST));
    assert_eq!(dial_web(&fake, &POD, 99, u32::MAX), to(FIRST));
}

#[test]
fn each_client_has_an_affinity_of_its_own() {
    let fake = sticky();
    assert_eq!(dial_web(&fake, &POD, 1, 0), to(FIRST));
    assert_eq!(dial_web(&fake, &OTHER_POD, 1, u32::MAX), to(LAST));
    assert_eq!(dial_web(&fake, &NODE, 1, u32::MAX / 2), to(SECOND_ONE));
    for (client, kept) in [(POD, FIRST), (OTHER_POD, LAST), (NODE, SECOND_ONE)] {
        assert_eq!(dial_web(&fake, &client, 2, u32::MAX / 2), to(kept), "{}", client.namespace);
    }
    // A packet's client is its source address, of which no namespace knows.
    let client = |address| PacketClient { origin: Origin::Outside, address: ip(address) };
    let web = "10.96.0.10:80";
    assert_eq!(packet_to(&fake, &client("198.51.100.1"), web, 0), Some(peer(FIRST)));
    assert_eq!(packet_to(&fake, &client("198.51.100.1"), web, u32::MAX), Some(peer(FIRST)));
    assert_eq!(packet_to(&fake, &client("198.51.100.2"), web, u32::MAX), Some(peer(LAST)));
    // Not even that of an address whose words are a namespace's cookie.
    let lookalike = Address { words: [POD.namespace as u32, 0, 0, 0] };
    let lookalike = PacketClient { origin: Origin::Outside, address: lookalike };
    assert_eq!(packet_to(&fake, &lookalike, web, u32::MAX), Some(peer(LAST)));
}

#[test]
fn all_frontends_of_a_service_port_share_it_and_other_service_ports_do_not() {
    let mut fake = sticky();
    fake.frontend(0, FrontendFlags::NODE_PORT, "0.0.0.0:30080", TCP);
    fake.frontend(0, FrontendFlags::EXTERNAL_IP, "198.51.100.1:80", TCP);
    fake.node_address("192.0.2.1");
    let other = fake.serve("10.96.0.10:443", TCP, &[FIRST, LAST], &[]);
    fake.services[other as usize].affinity_seconds = 10;

    assert_eq!(dial_web(&fake, &POD, 1, 0), to(FIRST));
    fake.random.set(u32::MAX);
    for address in ["192.0.2.1:30080", "198.51.100.1:80"] {
        assert_eq!(connect(&fake, &POD, &dial(2, address, TCP)), to(FIRST), "{address}");
    }
    assert_eq!(connect(&fake, &POD, &dial(3, "10.96.0.10:443", TCP)), to(LAST));
    assert_eq!(dial_web(&fake, &POD, 4, u32::MAX), to(FIRST), "the other port's affinity changed nothing");
}

#[test]
fn udp_flows_have_affinity_too() {
    let mut fake = Fake::default();
    let dns = fake.serve("10.96.0.53:53", UDP, &[FIRST, LAST], &[]);
    fake.services[dns as usize].affinity_seconds = 10;
    assert_eq!(send(&fake, &POD, &dial(1, "10.96.0.53:53", UDP)), to(FIRST));
    fake.random.set(u32::MAX);
    assert_eq!(send(&fake, &POD, &dial(2, "10.96.0.53:53", UDP)), to(FIRST));
    assert_eq!(connect(&fake, &POD, &dial(3, "10.96.0.53:53", UDP)), to(FIRST));
    assert_eq!(send(&fake, &OTHER_POD, &dial(4, "10.96.0.53:53", UDP)), to(LAST));
}

#[test]
fn nobody_is_pinned_to_an_endpoint_that_left_the_set_in_use() {
    let mut fake = sticky();
    assert_eq!(dial_web(&fake, &POD, 1, 0), to(FIRST));
    // It terminates: it can still serve, but no new flow may go there.
    fake.becomes(0, FIRST, BackendFlags::LIVE);
    fake.cluster_set(0, &[SECOND_ONE, LAST]);
    assert_eq!(dial_web(&fake, &POD, 2, u32::MAX), to(LAST));
    assert_eq!(fake.counted(Counter::AffinityKept), 0);
    // It comes back, and the client stays where it is by now.
    fake.cluster_set(0, &[FIRST, SECOND_ONE, LAST]);
    assert_eq!(dial_web(&fake, &POD, 3, 0), to(LAST));
}

#[test]
fn affinity_is_judged_by_the_set_that_the_policy_names() {
    let mut fake = sticky();
    // Pinned by cluster policy to the one endpoint that is not on this node.
    assert_eq!(dial_web(&fake, &POD, 1, 0), to(FIRST));
    fake.policy(0, ServiceFlags::ANY_USABLE.union(ServiceFlags::INTERNAL_LOCAL));
    assert_eq!(dial_web(&fake, &POD, 2, 0), to(SECOND_ONE), "the local set has others");
    assert_eq!(dial_web(&fake, &POD, 3, u32::MAX), to(SECOND_ONE));
    // A local endpoint that a hint keeps out of the cluster set holds nobody who may go anywhere.
    fake.becomes(0, SECOND_ONE, BackendFlags::LIVE.union(BackendFlags::IN_LOCAL));
    assert_eq!(dial_web(&fake, &POD, 4, u32::MAX), to(SECOND_ONE), "it is in the local set still");
    fake.policy(0, ServiceFlags::ANY_USABLE);
    fake.cluster_set(0, &[FIRST, LAST]);
    assert_eq!(dial_web(&fake, &POD, 5, u32::MAX), to(LAST));
}

#[test]
fn an_endpoint_that_was_freed_holds_nobody() {
    let mut fake = sticky();
    assert_eq!(dial_web(&fake, &POD, 1, 0), to(FIRST));
    fake.retire(0, FIRST);
    fake.cluster_set(0, &[SECOND_ONE, LAST]);
    assert_eq!(dial_web(&fake, &POD, 2, u32::MAX), to(LAST));
    // Its index lives again as another endpoint of the same service port: another generation.
    let fake = {
        let mut fake = sticky();
        assert_eq!(dial_web(&fake, &POD, 1, 0), to(FIRST));
        fake.backends[0].generation += 1;
        fake
    };
    assert_eq!(dial_web(&fake, &POD, 2, u32::MAX), to(LAST));
}

#[test]
fn a_memory_that_changed_hands_is_none() {
    let mut fake = sticky();
    let other = fake.serve("10.96.0.11:80", TCP, &["10.1.0.9:8080"], &[]);
    fake.services[other as usize].affinity_seconds = 10;
    let _ = connect(&fake, &POD, &dial(1, "10.96.0.11:80", TCP));
    let (mut key, entry) = fake.affinities.borrow().iter().next().map(|(key, entry)| (*key, *entry)).unwrap();
    key.service = 0;
    fake.affinities.borrow_mut().insert(key, entry);
    assert_eq!(dial_web(&fake, &POD, 1, u32::MAX), to(LAST));
}

#[test]
fn it_can_be_switched_on_and_off_while_the_service_serves() {
    let mut fake = sticky();
    fake.services[0].affinity_seconds = 0;
    assert_eq!(dial_web(&fake, &POD, 1, 0), to(FIRST));
    assert!(fake.affinities.borrow().is_empty(), "nobody is remembered without it");
    fake.services[0].affinity_seconds = 10;
    assert_eq!(dial_web(&fake, &POD, 2, u32::MAX), to(LAST));
    assert_eq!(dial_web(&fake, &POD, 3, 0), to(LAST));
    fake.services[0].affinity_seconds = 0;
    assert_eq!(dial_web(&fake, &POD, 4, 0), to(FIRST));
}

#[test]
fn without_room_for_the_memory_a_client_loses_its_affinity_and_nothing_else() {
    let fake = Fake { affinity_full: true, ..sticky() };
    assert_eq!(dial_web(&fake, &POD, 1, 0), to(FIRST));
    assert_eq!(dial_web(&fake, &POD, 2, u32::MAX), to(LAST));
}

#[test]
fn an_empty_set_is_refused_whatever_a_client_remembers() {
    let mut fake = sticky();
    assert_eq!(dial_web(&fake, &POD, 1, 0), to(FIRST));
    fake.cluster_set(0, &[]);
    fake.policy(0, ServiceFlags::default());
    assert_eq!(dial_web(&fake, &POD, 2, 0), Decision::Refuse);
}
