//! ICMP errors about translated flows, and about others.

use crate::{
    ask::PATIENCE,
    path_mtu::{learnt, setups, two},
    raw::{Raw, node_ports},
    service::{self, ready},
    stage::{Setup, Stage},
    wire::{Ip, Packet, UDP, icmp, icmp_error, udp},
};
use proxy_common::abi::Counter;
use shunt::{
    lab::udp_ask_connected,
    model::{Event, Family},
};
use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
};

/// Nobody listens there in a pod.
const CLOSED: u16 = 9;

fn port_unreachable(family: IpAddr) -> [u8; 2] {
    if family.is_ipv4() { [3, 3] } else { [1, 4] }
}

fn time_exceeded(family: IpAddr) -> [u8; 2] {
    if family.is_ipv4() { [11, 0] } else { [3, 0] }
}

fn too_big(family: IpAddr) -> [u8; 2] {
    if family.is_ipv4() { [3, 4] } else { [2, 0] }
}

/// That an error is of this kind, from `from`, and carries the packet as it was sent, but for its time to live.
#[track_caller]
fn assert_about(error: &Packet, kind: [u8; 2], from: IpAddr, sent: &[u8]) {
    let (found, _, inner) = error.error().unwrap();
    assert_eq!((found, error.source), (kind, from), "{error:x?}");
    let sent = Packet::parse(sent).unwrap();
    assert_eq!((inner.ends(), inner.protocol), (sent.ends(), sent.protocol));
    // An error need not carry all of it; of what it carries, every byte is as it was.
    assert!(inner.payload.len() >= 8 && sent.payload.starts_with(&inner.payload), "{inner:x?} {sent:x?}");
}

#[test]
fn a_client_is_told_by_the_frontend_that_nobody_listens() {
    for setup in setups().into_iter().take(2) {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let backends = two(&mut stage);
        for (number, backend) in (1..).zip(&backends) {
            let slices = Family::BOTH.map(|family| {
                let mut slice = service::slice(&service::service(number), family, &ready(&[backend]));
                slice.ports.iter_mut().for_each(|port| port.port = CLOSED);
                Event::SliceApplied(slice)
            });
            stage.apply(slices);
        }
        let raw = Raw::new(&stage);
        for number in [1, 2] {
            for to in node_ports(&stage, number) {
                let refused = stage.client().run(|| udp_ask_connected(to, PATIENCE)).unwrap().unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{to}: {refused}");
                let from = raw.at(4000, to.ip());
                let sent = raw.send_udp(from, to, b"is anybody there?", |_| {});
                assert_about(&raw.receive_error(), port_unreachable(to.ip()), to.ip(), &sent);
                raw.assert_silence();
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn a_client_is_told_by_the_frontend_where_its_packets_ended() {
    for setup in setups().into_iter().take(2) {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let backends = two(&mut stage);
        let raw = Raw::new(&stage);
        for number in [1, 2] {
            for to in node_ports(&stage, number) {
                let from = raw.at(4001, to.ip());
                let send = |hops| raw.send_udp(from, to, b"how far?", |ip| ip.hops = hops);
                // Each node on the way takes one. What this node itself would send on no more ends without a word.
                let last = if number == 1 { 1 } else { 2 };
                let ((), [ended]) = stage.counted([Counter::PacketTtlExceeded], || {
                    if number == 2 {
                        send(1);
                        raw.assert_silence();
                    }
                });
                assert_eq!(ended, u64::from(number) - 1);
                let sent = send(last);
                assert_about(&raw.receive_error(), time_exceeded(to.ip()), to.ip(), &sent);
                send(last + 1);
                let answer = raw.receive(to, from);
                assert!(answer.data().starts_with(backends[usize::from(number) - 1].name().as_bytes()));
                raw.assert_silence();
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn errors_about_other_flows_are_left_alone() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = two(&mut stage);
    let raw = Raw::new(&stage);
    for (frontend, backend) in node_ports(&stage, 1).into_iter().zip(Family::BOTH) {
        let node = stage.node().ip_like(frontend.ip());
        let pod = backends[0].ip(backend);
        let from = raw.at(4002, node);
        // A flow of the same client and pod through a NodePort is there meanwhile.
        raw.ask(from, frontend, |_| {});
        let ((), [translated]) = stage.counted([Counter::ErrorTranslated], || {
            for to in [node, pod] {
                let to = SocketAddr::new(to, CLOSED);
                let sent = raw.send_udp(from, to, b"is anybody there?", |_| {});
                assert_about(&raw.receive_error(), port_unreachable(node), to.ip(), &sent);
            }
        });
        assert_eq!(translated, 0);
    }
    drop(backends);
    stage.assert_nothing_left();
}

#[test]
fn errors_that_are_not_to_who_sent_the_packet_in_them_are_ignored() {
    for masquerade_always in [false, true] {
        let setup = Setup { masquerade_always, ..Setup::default() };
        let Some(mut stage) = Stage::new(&setup) else { return };
        let backends = two(&mut stage);
        let [raw, forger] = [Raw::new(&stage), Raw::new(&stage)];
        for to in node_ports(&stage, 1) {
            let family = Family::of(&to.ip());
            let pod = SocketAddr::new(backends[0].ip(family), service::ENDPOINT_PORT);
            let from = raw.at(4003, to.ip());
            let line = raw.ask(from, to, |_| {});
            let (_, seen) = line.split_once(' ').unwrap();
            let seen: SocketAddr = seen.parse().unwrap();
            assert_eq!(seen == from, !masquerade_always, "{seen}");
            let other = SocketAddr::new(stage.lan().node(1).ip_like(to.ip()), to.port());
            let forge = |destination: IpAddr, inner: [SocketAddr; 2], cut: usize| {
                let [source, target] = inner;
                let packet = Ip::new(source.ip(), target.ip()).carrying(UDP, &udp(source, target, &[0; 64]));
                let router = forger.ip(family);
                let error =
                    icmp_error(router, destination, too_big(router), 1300, &packet[..packet.len() - cut]);
                let error = Ip::new(router, destination).carrying(icmp(router), &error);
                let before = stage.counter(Counter::ErrorTranslated);
                forger.send(&error);
                // What comes after it has come after it.
                raw.ask(raw.at(4999, to.ip()), to, |_| {});
                (stage.counter(Counter::ErrorTranslated) - before, learnt(backends[0].pod(), seen.ip()))
            };
            for (what, destination, inner, cut) in [
                ("to the backend, about what the frontend sent", pod.ip(), [to, from], 0),
                ("to the node, about what another node sent", to.ip(), [other, from], 0),
                ("to the node, about what the backend sent", to.ip(), [pod, from], 0),
                ("about a port that sent nothing", to.ip(), [SocketAddr::new(to.ip(), 9), from], 0),
                ("to the client, about what the frontend sent", from.ip(), [to, from], 0),
                ("without the ports", to.ip(), [to, from], 64 + 5),
            ] {
                assert_eq!(forge(destination, inner, cut), (0, None), "{what}: {inner:?}");
            }
            // What a router would send, with as little as it may carry.
            assert_eq!(forge(to.ip(), [to, from], 64), (1, Some(1300)), "{to}");
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}
