//! UDP: flows of unconnected sockets, and connected sockets that name an address all the same.

use crate::fake::{Fake, POD, dial, peer};
use proxy_common::{
    abi::{BackendFlags, Counter, FrontendFlags, ServiceFlags, SocketKey, SocketPeer, TCP, UDP},
    datapath::{Decision, connect, restore_sender, send, send_connected},
};

const WEB: u32 = 0;
const DNS: u32 = 1;

/// A web service and a DNS service, for TCP too.
fn cluster() -> Fake {
    let mut fake = Fake::default();
    fake.serve("10.96.0.10:80", TCP, &["10.1.0.1:8080"], &[]);
    fake.serve("10.96.0.53:53", UDP, &["10.1.0.1:5353", "10.1.0.2:5353"], &[]);
    fake
}

fn to(backend: &str) -> Decision {
    Decision::Rewrite(peer(backend))
}

#[test]
fn a_connected_udp_socket_that_names_its_frontend_again_goes_to_the_backend_it_is_connected_to() {
    let fake = cluster();
    let dns = dial(1, "10.96.0.53:53", UDP);
    fake.random.set(u32::MAX);
    assert_eq!(connect(&fake, &POD, &dns), to("10.1.0.2:5353"));
    // Another draw: a reply from anybody else would not be let in.
    fake.random.set(0);
    assert_eq!(send_connected(&fake, &POD, &dns, peer("10.1.0.2:5353")), to("10.1.0.2:5353"));
    // Another frontend, another socket and a socket that is not connected choose for themselves.
    let other = dial(1, "10.96.0.10:80", TCP);
    assert_eq!(send_connected(&fake, &POD, &other, peer("10.1.0.2:5353")), to("10.1.0.1:8080"));
    let stranger = dial(2, "10.96.0.53:53", UDP);
    assert_eq!(send_connected(&fake, &POD, &stranger, peer("10.1.0.2:5353")), to("10.1.0.1:5353"));
    let unconnected = SocketPeer::default();
    assert_eq!(send_connected(&fake, &POD, &dns, unconnected), to("10.1.0.1:5353"));
}

#[test]
fn an_unconnected_udp_socket_keeps_its_backend_per_frontend_while_that_lives() {
    let mut fake = cluster();
    let first = dial(1, "10.96.0.53:53", UDP);
    fake.random.set(u32::MAX);
    assert_eq!(send(&fake, &POD, &first), to("10.1.0.2:5353"));
    // Another draw, but the socket remembers; another socket does not.
    fake.random.set(0);
    assert_eq!(send(&fake, &POD, &first), to("10.1.0.2:5353"));
    assert_eq!(send(&fake, &POD, &dial(2, "10.96.0.53:53", UDP)), to("10.1.0.1:5353"));
    assert_eq!(restore_sender(&fake, 1, peer("10.1.0.2:5353")), Some(peer("10.96.0.53:53")));
    // The backend goes: the socket notices by the generation, and chooses again.
    fake.retire(DNS, "10.1.0.2:5353");
    assert_eq!(send(&fake, &POD, &first), to("10.1.0.1:5353"));
    assert_eq!(fake.counted(Counter::SendStaleFlow), 1);
    assert_eq!(fake.counted(Counter::SendKnownFlow), 1);
}

#[test]
fn a_flow_stays_with_a_backend_that_can_serve_whatever_new_flows_may_reach() {
    let mut fake = cluster();
    fake.policy(DNS, ServiceFlags::ANY_USABLE);
    let flow = dial(1, "10.96.0.53:53", UDP);
    assert_eq!(send(&fake, &POD, &flow), to("10.1.0.1:5353"));
    let pinned = dial(2, "10.96.0.53:53", UDP);
    // It terminates, or a hint or a policy excludes it: it leaves every set.
    fake.becomes(DNS, "10.1.0.1:5353", BackendFlags::LIVE);
    fake.cluster_set(DNS, &["10.1.0.2:5353"]);
    assert_eq!(send(&fake, &POD, &flow), to("10.1.0.1:5353"), "the flow goes on");
    assert_eq!(send(&fake, &POD, &pinned), to("10.1.0.2:5353"), "another socket's is new");
    assert_eq!(connect(&fake, &POD, &flow), to("10.1.0.2:5353"), "a connection is new");
    // Not even an empty set, nor a policy that knows others only, ends it.
    fake.cluster_set(DNS, &[]);
    assert_eq!(send(&fake, &POD, &flow), to("10.1.0.1:5353"));
    fake.policy(DNS, ServiceFlags::ANY_USABLE.union(ServiceFlags::INTERNAL_LOCAL));
    assert_eq!(send(&fake, &POD, &flow), to("10.1.0.1:5353"));
    assert_eq!(send(&fake, &POD, &dial(3, "10.96.0.53:53", UDP)), Decision::Drop);
    // Once it cannot serve any more, the flow is as good as new.
    fake.policy(DNS, ServiceFlags::ANY_USABLE);
    fake.cluster_set(DNS, &["10.1.0.2:5353"]);
    fake.becomes(DNS, "10.1.0.1:5353", BackendFlags::default());
    assert_eq!(send(&fake, &POD, &flow), to("10.1.0.2:5353"));
    assert_eq!((fake.counted(Counter::SendKnownFlow), fake.counted(Counter::SendStaleFlow)), (3, 1));
}

#[test]
fn a_tcp_connection_is_new_every_time() {
    let mut fake = cluster();
    let web = dial(1, "10.96.0.10:80", TCP);
    assert_eq!(connect(&fake, &POD, &web), to("10.1.0.1:8080"));
    fake.becomes(WEB, "10.1.0.1:8080", BackendFlags::LIVE);
    fake.cluster_set(WEB, &["10.1.0.9:8080"]);
    assert_eq!(connect(&fake, &POD, &web), to("10.1.0.9:8080"));
}

#[test]
fn a_socket_has_a_flow_for_each_frontend_and_sees_each_ones_replies_come_from_there() {
    let mut fake = cluster();
    fake.frontend(DNS, FrontendFlags::EXTERNAL_IP, "198.51.100.1:53", UDP);
    assert_eq!(send(&fake, &POD, &dial(1, "10.96.0.53:53", UDP)), to("10.1.0.1:5353"));
    fake.random.set(u32::MAX);
    assert_eq!(send(&fake, &POD, &dial(1, "198.51.100.1:53", UDP)), to("10.1.0.2:5353"));
    assert_eq!(restore_sender(&fake, 1, peer("10.1.0.1:5353")), Some(peer("10.96.0.53:53")));
    assert_eq!(restore_sender(&fake, 1, peer("10.1.0.2:5353")), Some(peer("198.51.100.1:53")));
    assert_eq!(restore_sender(&fake, 1, peer("10.1.0.3:5353")), None, "a stranger");
    assert_eq!(fake.counted(Counter::ReplyRestored), 2);
}

#[test]
fn replies_come_from_the_frontend_that_was_written_to_last_where_two_lead_to_one_backend() {
    let mut fake = cluster();
    fake.frontend(DNS, FrontendFlags::EXTERNAL_IP, "198.51.100.1:53", UDP);
    for frontend in ["10.96.0.53:53", "198.51.100.1:53", "10.96.0.53:53"] {
        assert_eq!(send(&fake, &POD, &dial(1, frontend, UDP)), to("10.1.0.1:5353"));
        assert_eq!(restore_sender(&fake, 1, peer("10.1.0.1:5353")), Some(peer(frontend)));
    }
    assert_eq!(fake.counted(Counter::SendKnownFlow), 1);
}

#[test]
fn a_memory_of_another_service_port_is_no_memory() {
    let mut fake = cluster();
    let other = fake.serve("10.96.0.54:53", UDP, &["10.1.0.9:5353"], &[]);
    let _ = send(&fake, &POD, &dial(1, "10.96.0.54:53", UDP));
    let memory = *fake.udp_flows.borrow().values().next().unwrap();
    assert_eq!(fake.backends[memory.index() as usize].service, other);
    // An LRU element that changed hands: this socket's key leads to the other service's backend.
    let dns = dial(2, "10.96.0.53:53", UDP);
    let key = SocketKey { cookie: 2, peer: dns.peer };
    fake.udp_flows.borrow_mut().insert(key, memory);
    assert_eq!(send(&fake, &POD, &dns), to("10.1.0.1:5353"));
}

#[test]
fn a_lost_reverse_entry_is_written_again_before_the_next_datagram() {
    let fake = cluster();
    let dns = dial(1, "10.96.0.53:53", UDP);
    let _ = send(&fake, &POD, &dns);
    fake.reverse.borrow_mut().clear();
    let _ = send(&fake, &POD, &dns);
    assert_eq!(restore_sender(&fake, 1, peer("10.1.0.1:5353")), Some(dns.peer));
}
