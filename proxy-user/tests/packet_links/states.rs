//! What the flow table says of a flow, from its first packet to its end and after.

use crate::{
    clean::wait_until,
    flows::{Connection, Flows, key},
    path_mtu::{setups, two},
    raw::{Raw, node_ports},
    service::{self, ready, service},
    stage::Stage,
    wire::{ACK, FIN, RST, SYN, TCP, UDP},
};
use proxy_common::abi::{Counter, FlowEntry, FlowFlags, Seen, Tuple};
use shunt::{
    lab::TcpServer,
    model::{Event, Family},
};
use std::{net::SocketAddr, thread, time::Duration};

/// nf_conntrack's: established, closing or not answered, reset; datagrams answered and not.
const ESTABLISHED: u32 = 432_000;
const CLOSING: u32 = 120;
const RESET: u32 = 10;
const ANSWERED: u32 = 120;
const ASKED: u32 = 30;

/// That both entries say that the client and the backend have sent this, and when the flow will be forgotten.
#[track_caller]
fn assert_flow(flows: &Flows, key: &Tuple, client: Seen, server: Seen, timeout: u32) {
    let says = || {
        let (forward, reply) = flows.both(key);
        [forward, reply].map(|entry| (entry.client.0, entry.server.0, entry.idle_timeout(key.protocol)))
    };
    let wanted = [(client.0, server.0, timeout); 2];
    // What the client has seen has passed; what it has sent only now may be on its way.
    wait_until(&format!("{wanted:?}, not {:?}", says()), || says() == wanted);
}

#[test]
fn a_connection_is_followed_from_its_syn_to_its_end() {
    let (any, fin) = (Seen::ANY, Seen::ANY.union(Seen::FIN));
    for setup in setups() {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let backends = two(&mut stage);
        let (raw, flows) = (Raw::new(&stage), Flows::of(&stage));
        for number in [1, 2] {
            for to in node_ports(&stage, number) {
                let from = raw.at(6_000, to.ip());
                let key = key(from, to, TCP);
                assert_eq!(flows.entry(&key), None);
                let mut connection = Connection::open(&raw, from, to);
                assert_flow(&flows, &key, any, any, ESTABLISHED);
                let (forward, reply) = flows.both(&key);
                let masquerade = FlowFlags::MASQUERADE;
                assert_eq!(forward.flags.contains(masquerade), number == 2);
                assert_eq!(reply.flags.0, forward.flags.0 | FlowFlags::REPLY.0);
                let seen = (connection.seen().ip().into(), connection.seen().port().to_be());
                assert_eq!((forward.source, forward.source_port), seen);
                connection.exchange(&raw, b"data");
                assert_flow(&flows, &key, any, any, ESTABLISHED);

                // The client ends, the server after it.
                connection.send(&raw, FIN | ACK, b"");
                connection.receive_fin(&raw);
                assert_flow(&flows, &key, fin, fin, CLOSING);
                assert!(flows.both(&key).0.is_closed());

                // A SYN on the same 5-tuple begins anew.
                let ((), [replaced, new]) = stage.counted([Counter::FlowReplaced, Counter::FlowNew], || {
                    let mut again = Connection::new(from, to);
                    again.seq = connection.seq.wrapping_add(1 << 20);
                    again.send(&raw, SYN, b"");
                    while !again.line.ends_with('\n') {
                        let packet = raw.receive(to, from);
                        again.take(&raw, &packet);
                    }
                    connection = again;
                });
                assert_eq!((replaced, new), (1, 0));
                assert_flow(&flows, &key, any, any, ESTABLISHED);
                connection.send(&raw, RST | ACK, b"");
                assert_flow(&flows, &key, any.union(Seen::RESET), any, RESET);
                assert!(flows.both(&key).0.is_closed());
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn a_connection_that_one_side_has_ended_goes_on() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = two(&mut stage);
    // Servers that end their side after the line.
    let at = |number: usize| backends[number].place();
    let servers: Vec<_> = [0, 1]
        .iter()
        .flat_map(|number| {
            Family::BOTH.map(|family| {
                let address = SocketAddr::new(backends[*number].ip(family), 8_081);
                TcpServer::start(at(*number), backends[*number].name(), address).unwrap()
            })
        })
        .collect();
    for (number, backend) in (1..).zip(&backends) {
        let slices = Family::BOTH.map(|family| {
            let mut slice = service::slice(&service(number), family, &ready(&[backend]));
            slice.ports.iter_mut().for_each(|port| port.port = 8_081);
            Event::SliceApplied(slice)
        });
        stage.apply(slices);
    }
    let (raw, flows) = (Raw::new(&stage), Flows::of(&stage));
    let (any, fin) = (Seen::ANY, Seen::ANY.union(Seen::FIN));
    for number in [1, 2] {
        for to in node_ports(&stage, number) {
            let from = raw.at(6_100, to.ip());
            let key = key(from, to, TCP);
            let mut connection = Connection::open(&raw, from, to);
            connection.receive_fin(&raw);
            assert_flow(&flows, &key, any, fin, CLOSING);
            assert!(!flows.both(&key).0.is_closed());
            // The other direction goes on.
            for _ in 0..3 {
                connection.send(&raw, ACK, b"more");
                let (_, acknowledged, ..) = raw.receive(to, from).segment();
                assert_eq!(acknowledged, connection.seq);
            }
            assert_flow(&flows, &key, any, fin, CLOSING);
            connection.send(&raw, FIN | ACK, b"");
            raw.receive(to, from);
            assert_flow(&flows, &key, fin, fin, CLOSING);
        }
    }
    drop((servers, backends));
    stage.assert_nothing_left();
}

#[test]
fn datagrams_are_remembered_for_as_long_as_the_kernel_would() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = two(&mut stage);
    let (raw, flows) = (Raw::new(&stage), Flows::of(&stage));
    // Nobody answers there.
    stage.serve(
        &service(3),
        &[(
            vec!["10.244.1.99".parse().unwrap(), "fd00:10:244:1::99".parse().unwrap()],
            Some(stage.node().name().to_owned()),
            Default::default(),
        )],
    );
    for number in [1, 2, 3] {
        for to in node_ports(&stage, number) {
            let from = raw.at(6_200, to.ip());
            raw.send_udp(from, to, b"?", |_| {});
            let key = key(from, to, UDP);
            if number == 3 {
                wait_until("the entry", || flows.entry(&key).is_some());
                assert_flow(&flows, &key, Seen::ANY, Seen::default(), ASKED);
            } else {
                raw.receive(to, from);
                assert_flow(&flows, &key, Seen::ANY, Seen::ANY, ANSWERED);
            }
        }
    }
    drop(backends);
    stage.assert_nothing_left();
}

#[test]
fn an_entry_that_was_lost_comes_back() {
    for setup in setups().into_iter().take(2) {
        let Some(mut stage) = Stage::new(&setup) else { return };
        // Several backends: it is to be the same one.
        let backends: Vec<_> =
            [(0, "a"), (0, "b"), (1, "c"), (1, "d")].map(|(node, name)| stage.pod(node, name)).into();
        stage.serve(&service(1), &ready(&backends.iter().collect::<Vec<_>>()));
        let (raw, flows) = (Raw::new(&stage), Flows::of(&stage));
        let mut opened = Vec::new();
        for to in node_ports(&stage, 1) {
            for port in 6_300..6_306 {
                let connection = Connection::open(&raw, raw.at(port, to.ip()), to);
                let key = key(connection.from, to, TCP);
                let both = flows.both(&key);
                opened.push((connection, key, both));
            }
        }
        let same = |entry: FlowEntry| (entry.translated(u32::from(TCP)), entry.flags.0, entry.backend);
        for lost in [[true, false], [false, true], [true, true]] {
            for (_, forward, (before, _)) in &opened {
                let reply = before.other(forward.protocol);
                let keys = [forward, &reply].into_iter().zip(lost).filter(|(_, lost)| *lost);
                keys.for_each(|(key, _)| flows.delete(key));
            }
            // What was touched within a second is not looked at.
            thread::sleep(Duration::from_millis(1_050));
            for (connection, forward, before) in &mut opened {
                connection.exchange(&raw, b"still there?");
                let now = flows.both(forward);
                assert_eq!((same(now.0), same(now.1)), (same(before.0), same(before.1)));
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}
