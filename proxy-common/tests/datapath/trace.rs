//! What is shown of socket calls to who watches, and what is counted for each service port.

use crate::fake::{Fake, POD, dial, ip, peer};
use proxy_common::{
    abi::{
        BackendFlags, Counter, FrontendFlags, Network, NodeFlags, ServiceFlags, SocketPeer, TCP, TraceEvent,
        TraceHook, TraceOutcome, UDP,
    },
    datapath::{connect, send, send_connected},
};

const WEB: u32 = 0;
const DNS: u32 = 1;
const EMPTY: u32 = 2;
const LOCAL: u32 = 3;
const RANGED: u32 = 4;
const NONE: u32 = TraceEvent::NO_SERVICE;

/// One Service for everything that may become of a call, and somebody who watches.
fn cluster() -> Fake {
    let mut fake = Fake { watched: true, node: NodeFlags::SERVICE_CIDRS, ..Fake::default() };
    fake.serve("10.96.0.10:80", TCP, &["10.1.0.1:8080"], &[]);
    fake.serve("10.96.0.53:53", UDP, &["10.1.0.1:5353", "10.1.0.2:5353"], &[]);
    fake.serve("10.96.0.99:80", TCP, &[], &[]);
    fake.serve("10.96.0.30:80", TCP, &["10.1.0.9:8080"], &[]);
    fake.policy(LOCAL, ServiceFlags::ANY_USABLE.union(ServiceFlags::INTERNAL_LOCAL));
    fake.serve("10.96.0.40:80", TCP, &["10.1.0.1:8080"], &[]);
    fake.frontend(RANGED, FrontendFlags::LOAD_BALANCER, "203.0.113.1:80", TCP);
    fake.policy(RANGED, ServiceFlags::SOURCE_RANGES);
    fake.networks.insert(ip("10.96.0.200"), Network::Services as u32);
    fake.now.set(1_000);
    fake
}

/// The only event: where the call went, its service port, outcome and counter.
fn shown(fake: &Fake) -> (SocketPeer, u32, TraceOutcome, Counter) {
    let events = fake.events.take();
    let [event] = events[..] else { panic!("{} events", events.len()) };
    let outcomes =
        [TraceOutcome::Forwarded, TraceOutcome::Rejected, TraceOutcome::Dropped, TraceOutcome::Passed];
    let outcome = outcomes.into_iter().find(|outcome| *outcome as u16 == event.outcome).unwrap();
    let to = SocketPeer::new(event.after.destination, event.after.destination_port);
    (to, event.service, outcome, Counter::ALL[event.counter as usize])
}

#[test]
fn every_decision_about_a_service_is_shown_with_what_it_was_counted_as() {
    use TraceOutcome::{Dropped, Forwarded, Passed, Rejected};
    let cases = [
        ("10.96.0.10:80", TCP, "10.1.0.1:8080", WEB, Forwarded, Counter::ConnectForwarded),
        ("10.96.0.53:53", UDP, "10.1.0.1:5353", DNS, Forwarded, Counter::ConnectForwarded),
        ("10.96.0.99:80", TCP, "10.96.0.99:80", EMPTY, Rejected, Counter::ConnectNoEndpoint),
        ("10.96.0.10:81", TCP, "10.96.0.10:81", NONE, Rejected, Counter::ConnectUnknownPort),
        ("10.96.0.30:80", TCP, "10.96.0.30:80", LOCAL, Dropped, Counter::ConnectNoLocalEndpoint),
        ("10.96.0.200:80", TCP, "10.96.0.200:80", NONE, Dropped, Counter::ConnectUnallocated),
        ("203.0.113.1:80", TCP, "203.0.113.1:80", NONE, Passed, Counter::SourceUnknown),
    ];
    for (address, protocol, to, service, outcome, counter) in cases {
        let fake = cluster();
        let _ = connect(&fake, &POD, &dial(7, address, protocol));
        assert_eq!(shown(&fake), (peer(to), service, outcome, counter), "{address}");
    }
}

#[test]
fn an_event_says_who_dialled_what_and_when() {
    let fake = cluster();
    let _ = connect(&fake, &POD, &dial(7, "10.96.0.10:80", TCP));
    let event = fake.events.take()[0];
    assert_eq!((event.time, event.cookie, event.device), (1_000, 7, 0));
    assert_eq!((event.hook, event.before.protocol), (TraceHook::Connect as u16, u32::from(TCP)));
    assert_eq!((event.before.destination, event.before.destination_port), (ip("10.96.0.10"), 80_u16.to_be()));
    for tuple in [event.before, event.after] {
        assert_eq!((tuple.source, tuple.source_port), (ip("0.0.0.0"), 0), "no source is chosen yet");
    }
    let slot = fake.slots[fake.services[WEB as usize].cluster.base() as usize];
    assert_eq!(event.backend, slot);
    let _ = send(&fake, &POD, &dial(7, "10.96.0.53:1", UDP));
    let event = fake.events.take()[0];
    assert_eq!((event.hook, event.backend.0), (TraceHook::Send as u16, 0));
}

#[test]
fn of_datagrams_only_the_first_is_shown_and_counted() {
    let mut fake = cluster();
    let first = dial(7, "10.96.0.53:53", UDP);
    let _ = send(&fake, &POD, &first);
    let forwarded = TraceOutcome::Forwarded;
    assert_eq!(shown(&fake), (peer("10.1.0.1:5353"), DNS, forwarded, Counter::SendNewFlow));
    let _ = send(&fake, &POD, &first);
    let _ = send(&fake, &POD, &first);
    assert_eq!((fake.events.borrow().len(), fake.flows.borrow()[&DNS]), (0, 1));
    // Its backend goes: it begins anew.
    fake.becomes(DNS, "10.1.0.1:5353", BackendFlags::default());
    fake.cluster_set(DNS, &["10.1.0.2:5353"]);
    let _ = send(&fake, &POD, &first);
    assert_eq!(shown(&fake), (peer("10.1.0.2:5353"), DNS, forwarded, Counter::SendStaleFlow));
    assert_eq!(fake.flows.borrow()[&DNS], 2);
    // A connected socket's datagrams belong to its connection.
    let _ = connect(&fake, &POD, &dial(8, "10.96.0.53:53", UDP));
    assert_eq!(fake.events.take().len(), 1);
    let _ = send_connected(&fake, &POD, &dial(8, "10.96.0.53:53", UDP), peer("10.1.0.2:5353"));
    assert_eq!((fake.events.borrow().len(), fake.flows.borrow()[&DNS]), (0, 3));
}

#[test]
fn what_could_not_be_forwarded_is_shown_and_no_flow() {
    let fake = Fake { reverse_full: true, ..cluster() };
    let _ = connect(&fake, &POD, &dial(7, "10.96.0.10:80", TCP));
    let wanted = (peer("10.96.0.10:80"), WEB, TraceOutcome::Rejected, Counter::ReverseFull);
    assert_eq!(shown(&fake), wanted);
    let _ = send(&fake, &POD, &dial(7, "10.96.0.53:53", UDP));
    let wanted = (peer("10.96.0.53:53"), DNS, TraceOutcome::Rejected, Counter::ReverseFull);
    assert_eq!(shown(&fake), wanted);
    assert!(fake.flows.borrow().is_empty());
}

#[test]
fn nothing_is_shown_while_nobody_watches_nor_of_what_is_none_of_our_business() {
    let fake = Fake { watched: false, ..cluster() };
    for address in ["10.96.0.10:80", "10.96.0.99:80", "10.96.0.10:81", "10.96.0.200:80"] {
        let _ = connect(&fake, &POD, &dial(7, address, TCP));
    }
    assert_eq!(fake.flows.borrow()[&WEB], 1, "it is counted all the same");
    // The fake panics where an event is built then.
    assert!(fake.events.borrow().is_empty());
    let fake = cluster();
    let _ = connect(&fake, &POD, &dial(7, "192.0.2.1:80", TCP));
    let _ = send(&fake, &POD, &dial(7, "192.0.2.1:80", UDP));
    assert!(fake.events.borrow().is_empty());
}
