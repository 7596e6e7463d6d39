//! The socket decisions, as the programs make them: the same functions over tables in memory.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod fake;

use fake::{Fake, dial, peer};
use proxy_common::{
    abi::{Counter, FrontendFlags, FrontendValue, ServiceFlags, SocketPeer, TCP, UDP},
    datapath::{Decision, connect, release, restore_peer_name, restore_sender, send, send_connected},
};

/// A dual-stack cluster: a web service, a DNS service and one without endpoints.
fn cluster() -> Fake {
    let mut fake = Fake::default();
    fake.serve(
        "10.96.0.10:80",
        TCP,
        &["10.1.0.1:8080", "10.1.0.2:8081", "10.1.0.3:8082"],
        &["10.1.0.2:8081"],
    );
    fake.serve("[fd00::10]:80", TCP, &["[fd01::1]:8080"], &[]);
    fake.serve("10.96.0.53:53", UDP, &["10.1.0.1:5353", "10.1.0.2:5353"], &[]);
    fake.serve("10.96.0.99:80", TCP, &[], &[]);
    fake
}

#[test]
fn what_becomes_of_a_connect() {
    let rewrite = |to| Decision::Rewrite(peer(to));
    // What is dialled, what is drawn, what becomes of it.
    let cases = [
        ("10.96.0.10:80", TCP, 0, rewrite("10.1.0.1:8080")),
        ("10.96.0.10:80", TCP, u32::MAX / 2, rewrite("10.1.0.2:8081")),
        ("10.96.0.10:80", TCP, u32::MAX, rewrite("10.1.0.3:8082")),
        ("[fd00::10]:80", TCP, 7, rewrite("[fd01::1]:8080")),
        // An IPv6 socket that dials an IPv4-mapped address is an IPv4 client.
        ("[::ffff:10.96.0.10]:80", TCP, 0, rewrite("[::ffff:10.1.0.1]:8080")),
        ("10.96.0.53:53", UDP, 0, rewrite("10.1.0.1:5353")),
        // No usable backend: refused.
        ("10.96.0.99:80", TCP, 0, Decision::Refuse),
        // A port or a protocol that a known ClusterIP does not serve: refused.
        ("10.96.0.10:443", TCP, 0, Decision::Refuse),
        ("10.96.0.10:80", UDP, 0, Decision::Refuse),
        ("10.96.0.53:53", TCP, 0, Decision::Refuse),
        ("[fd00::10]:81", TCP, 0, Decision::Refuse),
        // No Service's address: none of our business, a backend's own one included.
        ("10.1.0.1:8080", TCP, 0, Decision::Pass),
        ("192.0.2.1:80", TCP, 0, Decision::Pass),
        ("[fd01::1]:8080", TCP, 0, Decision::Pass),
    ];
    for (address, protocol, random, expected) in cases {
        let fake = cluster();
        fake.random.set(random);
        assert_eq!(connect(&fake, &dial(1, address, protocol)), expected, "{address} {protocol}");
    }
}

#[test]
fn internal_traffic_policy_local_picks_among_the_local_set() {
    let mut fake = cluster();
    fake.services[0].flags = ServiceFlags::INTERNAL_LOCAL;
    for random in [0, u32::MAX / 2, u32::MAX] {
        fake.random.set(random);
        assert_eq!(connect(&fake, &dial(1, "10.96.0.10:80", TCP)), Decision::Rewrite(peer("10.1.0.2:8081")));
    }
}

#[test]
fn refusals_are_counted_by_reason() {
    let fake = cluster();
    let _ = connect(&fake, &dial(1, "10.96.0.99:80", TCP));
    let _ = connect(&fake, &dial(1, "10.96.0.10:1", TCP));
    let _ = send(&fake, &dial(1, "10.96.0.10:1", UDP));
    let _ = connect(&fake, &dial(1, "10.96.0.10:80", TCP));
    let counts = [
        (Counter::ConnectNoEndpoint, 1),
        (Counter::ConnectUnknownPort, 1),
        (Counter::SendUnknownPort, 1),
        (Counter::ConnectForwarded, 1),
        (Counter::Inconsistent, 0),
    ];
    for (counter, count) in counts {
        assert_eq!(fake.counted(counter), count, "{}", counter.name());
    }
}

#[test]
fn the_peer_of_a_connection_is_the_frontend_that_was_dialled() {
    let fake = cluster();
    let _ = connect(&fake, &dial(1, "10.96.0.10:80", TCP));
    let backend = peer("10.1.0.1:8080");
    assert_eq!(restore_peer_name(&fake, 1, backend), Some(peer("10.96.0.10:80")));
    assert_eq!(restore_peer_name(&fake, 2, backend), None, "another socket dialled the backend itself");
}

#[test]
fn a_connected_udp_socket_that_names_its_frontend_again_goes_to_the_backend_it_is_connected_to() {
    let fake = cluster();
    let dns = dial(1, "10.96.0.53:53", UDP);
    fake.random.set(u32::MAX);
    assert_eq!(connect(&fake, &dns), Decision::Rewrite(peer("10.1.0.2:5353")));
    // Another draw: a reply from anybody else would not be let in.
    fake.random.set(0);
    assert_eq!(send_connected(&fake, &dns, peer("10.1.0.2:5353")), Decision::Rewrite(peer("10.1.0.2:5353")));
    // Another frontend, another socket and a socket that is not connected choose for themselves.
    let other = dial(1, "10.96.0.10:80", TCP);
    assert_eq!(
        send_connected(&fake, &other, peer("10.1.0.2:5353")),
        Decision::Rewrite(peer("10.1.0.1:8080"))
    );
    fake.random.set(0);
    let stranger = dial(2, "10.96.0.53:53", UDP);
    assert_eq!(
        send_connected(&fake, &stranger, peer("10.1.0.2:5353")),
        Decision::Rewrite(peer("10.1.0.1:5353"))
    );
    fake.random.set(0);
    let unconnected = SocketPeer::default();
    assert_eq!(send_connected(&fake, &dns, unconnected), Decision::Rewrite(peer("10.1.0.1:5353")));
}

#[test]
fn an_unconnected_udp_socket_keeps_its_backend_per_frontend_while_that_lives() {
    let mut fake = cluster();
    let first = dial(1, "10.96.0.53:53", UDP);
    fake.random.set(u32::MAX);
    assert_eq!(send(&fake, &first), Decision::Rewrite(peer("10.1.0.2:5353")));
    // Another draw, but the socket remembers; another socket does not.
    fake.random.set(0);
    assert_eq!(send(&fake, &first), Decision::Rewrite(peer("10.1.0.2:5353")));
    assert_eq!(send(&fake, &dial(2, "10.96.0.53:53", UDP)), Decision::Rewrite(peer("10.1.0.1:5353")));
    assert_eq!(restore_sender(&fake, 1, peer("10.1.0.2:5353")), Some(peer("10.96.0.53:53")));
    // The backend goes: the socket notices by the generation, and chooses again.
    let gone =
        fake.backends.iter().position(|b| b.address == peer("10.1.0.2:5353").address && b.service == 2);
    fake.retire(gone.unwrap());
    assert_eq!(send(&fake, &first), Decision::Rewrite(peer("10.1.0.1:5353")));
    assert_eq!(fake.counted(Counter::SendStaleFlow), 1);
    assert_eq!(fake.counted(Counter::SendKnownFlow), 1);
}

#[test]
fn a_memory_of_another_service_port_is_no_memory() {
    let mut fake = cluster();
    let other = fake.serve("10.96.0.54:53", UDP, &["10.1.0.9:5353"], &[]);
    let _ = send(&fake, &dial(1, "10.96.0.54:53", UDP));
    let memory = *fake.udp_flows.borrow().values().next().unwrap();
    assert_eq!(fake.backends[memory.index() as usize].service, other);
    // An LRU element that changed hands: this socket's key leads to the other service's backend.
    let dns = dial(2, "10.96.0.53:53", UDP);
    let key = proxy_common::abi::SocketKey { cookie: 2, peer: dns.peer };
    fake.udp_flows.borrow_mut().insert(key, memory);
    assert_eq!(send(&fake, &dns), Decision::Rewrite(peer("10.1.0.1:5353")));
}

#[test]
fn a_lost_reverse_entry_is_written_again_before_the_next_datagram() {
    let fake = cluster();
    let dns = dial(1, "10.96.0.53:53", UDP);
    let _ = send(&fake, &dns);
    fake.reverse.borrow_mut().clear();
    let _ = send(&fake, &dns);
    assert_eq!(restore_sender(&fake, 1, peer("10.1.0.1:5353")), Some(dns.peer));
}

#[test]
fn without_room_for_the_reverse_entry_nothing_is_rewritten() {
    let mut fake = cluster();
    fake.reverse_full = true;
    assert_eq!(connect(&fake, &dial(1, "10.96.0.10:80", TCP)), Decision::Refuse);
    assert_eq!(send(&fake, &dial(1, "10.96.0.53:53", UDP)), Decision::Refuse);
    assert_eq!(fake.counted(Counter::ReverseFull), 2);
    assert!(fake.udp_flows.borrow().is_empty());
}

#[test]
fn a_value_that_another_key_was_given_meanwhile_is_looked_up_again() {
    let fake = cluster();
    let foreign = FrontendValue::new(1, FrontendFlags::CLUSTER_IP, 0xdead_beef);
    for address in ["10.96.0.10:80", "10.96.0.10:443", "192.0.2.1:80"] {
        let expected = connect(&fake, &dial(1, address, TCP));
        fake.given_away.set(Some(foreign));
        assert_eq!(connect(&fake, &dial(1, address, TCP)), expected, "{address}");
    }
}

#[test]
fn a_released_socket_takes_its_own_reverse_entry_along() {
    let fake = cluster();
    let backend = peer("10.1.0.1:8080");
    for cookie in [1, 2] {
        let _ = connect(&fake, &dial(cookie, "10.96.0.10:80", TCP));
    }
    release(&fake, 1, backend);
    assert_eq!(restore_peer_name(&fake, 1, backend), None);
    assert_eq!(restore_peer_name(&fake, 2, backend), Some(peer("10.96.0.10:80")), "another socket's stays");
    // A socket that is not connected has nothing to look for.
    release(&fake, 2, peer("10.1.0.1:0"));
    assert_eq!(fake.reverse.borrow().len(), 1);
}
