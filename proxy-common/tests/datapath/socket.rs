//! connect(), and what becomes of replies, peer names and closed sockets.

use crate::fake::{Fake, POD, dial, ip, peer};
use proxy_common::{
    abi::{BackendRef, Counter, Network, NodeFlags, ReverseEntry, SocketKey, TCP, UDP},
    datapath::{Decision, connect, release, restore_peer_name, send},
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
        assert_eq!(connect(&fake, &POD, &dial(1, address, protocol)), expected, "{address} {protocol}");
    }
}

#[test]
fn what_is_not_forwarded_is_counted_by_reason() {
    let mut fake = cluster();
    fake.node = NodeFlags::SERVICE_CIDRS;
    fake.networks.insert(ip("10.96.0.200"), Network::Services as u32);
    let _ = connect(&fake, &POD, &dial(1, "10.96.0.99:80", TCP));
    let _ = connect(&fake, &POD, &dial(1, "10.96.0.10:1", TCP));
    let _ = send(&fake, &POD, &dial(1, "10.96.0.10:1", UDP));
    let _ = connect(&fake, &POD, &dial(1, "10.96.0.10:80", TCP));
    // Nobody's address in a ServiceCIDR is not answered, like any that is not there.
    assert_eq!(connect(&fake, &POD, &dial(1, "10.96.0.200:80", TCP)), Decision::Drop);
    assert_eq!(send(&fake, &POD, &dial(1, "10.96.0.200:80", UDP)), Decision::Drop);
    // What is none of our business is not counted.
    let _ = connect(&fake, &POD, &dial(1, "192.0.2.1:80", TCP));
    let counts = [
        (Counter::ConnectForwarded, 1),
        (Counter::ConnectNoEndpoint, 1),
        (Counter::ConnectUnknownPort, 1),
        (Counter::SendUnknownPort, 1),
        (Counter::ConnectUnallocated, 1),
        (Counter::SendUnallocated, 1),
    ];
    assert_eq!(fake.counts(), counts);
}

#[test]
fn a_reverse_entry_says_which_backend_the_socket_was_given_and_through_what() {
    let mut fake = cluster();
    fake.backends.iter_mut().for_each(|backend| backend.generation = 5);
    fake.slots.iter_mut().for_each(|slot| *slot = BackendRef::new(slot.index(), 5));
    let frontend = peer("10.96.0.53:53");
    let _ = connect(&fake, &POD, &dial(1, "10.96.0.53:53", UDP));
    let slot = fake.slots[fake.services[2].cluster.base() as usize];
    let key = SocketKey { cookie: 1, peer: peer("10.1.0.1:5353") };
    let entry = fake.reverse.borrow()[&key];
    assert_eq!(entry, ReverseEntry::new(frontend, UDP, slot));
    assert_eq!((entry.frontend(), entry.backend.generation()), (frontend, 5));
}

#[test]
fn the_peer_of_a_connection_is_the_frontend_that_was_dialled() {
    let fake = cluster();
    let _ = connect(&fake, &POD, &dial(1, "10.96.0.10:80", TCP));
    let backend = peer("10.1.0.1:8080");
    assert_eq!(restore_peer_name(&fake, 1, backend), Some(peer("10.96.0.10:80")));
    assert_eq!(restore_peer_name(&fake, 2, backend), None, "another socket dialled the backend itself");
}

#[test]
fn without_room_for_the_reverse_entry_nothing_is_rewritten() {
    let mut fake = cluster();
    fake.reverse_full = true;
    assert_eq!(connect(&fake, &POD, &dial(1, "10.96.0.10:80", TCP)), Decision::Refuse);
    assert_eq!(send(&fake, &POD, &dial(1, "10.96.0.53:53", UDP)), Decision::Refuse);
    assert_eq!(fake.counted(Counter::ReverseFull), 2);
    assert!(fake.udp_flows.borrow().is_empty());
}

#[test]
fn a_released_socket_takes_its_own_reverse_entry_along() {
    let fake = cluster();
    let backend = peer("10.1.0.1:8080");
    for cookie in [1, 2] {
        let _ = connect(&fake, &POD, &dial(cookie, "10.96.0.10:80", TCP));
    }
    release(&fake, 1, backend);
    assert_eq!(restore_peer_name(&fake, 1, backend), None);
    assert_eq!(restore_peer_name(&fake, 2, backend), Some(peer("10.96.0.10:80")), "another socket's stays");
    // A socket that is not connected has nothing to look for.
    release(&fake, 2, peer("10.1.0.1:0"));
    assert_eq!(fake.reverse.borrow().len(), 1);
}
