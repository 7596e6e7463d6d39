//! Datagrams that are larger than a packet: their fragments follow the first one.

use crate::{
    ask::PATIENCE,
    backend::Backend,
    path_mtu::{setups, two},
    raw::{Raw, node_ports},
    service::{Kind, frontend},
    stage::{Setup, Stage},
    wire::{Ip, Packet, UDP, udp},
};
use proxy_common::abi::Counter;
use shunt::{
    lab::{
        UdpAsker,
        lan::{Host, Overlay},
    },
    model::Family,
};
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

const LENGTHS: [usize; 5] = [100, 2_000, 9_000, 30_000, 60_000];

fn ask_big(client: &Host, to: SocketAddr, length: usize, limit: Duration, name: &str) -> io::Result<()> {
    let ask = || {
        let asker = if to.is_ipv4() { UdpAsker::ipv4(limit) } else { UdpAsker::ipv6(limit) };
        asker?.ask_big(to, length)
    };
    let reply = client.run(ask).unwrap()?;
    assert_eq!((reply.name.as_str(), reply.peer_name), (name, to), "{length} bytes");
    Ok(())
}

/// Has the client learn how large its fragments may be. A datagram is lost on that: what the node itself sends on,
/// and every IPv6 packet, is never cut by the node.
fn learn(client: &Host, to: SocketAddr, name: &str) {
    let end = Instant::now() + PATIENCE;
    while let Err(error) = ask_big(client, to, 2_000, Duration::from_millis(200), name) {
        assert!(Instant::now() < end, "{to}: {error}");
    }
}

#[test]
fn large_datagrams_go_there_and_come_back() {
    for setup in setups() {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let backends = two(&mut stage);
        for (number, backend) in (1..).zip(&backends) {
            for to in node_ports(&stage, number) {
                if setup.lan.overlay == Overlay::Vxlan {
                    learn(stage.client(), to, backend.name());
                }
                for length in LENGTHS {
                    ask_big(stage.client(), to, length, PATIENCE, backend.name())
                        .unwrap_or_else(|error| panic!("{length} bytes to {to}: {error}"));
                }
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

/// A datagram's fragments, in their order: all but the last carry 1,200 bytes.
fn fragments(from: SocketAddr, to: SocketAddr, id: u32, data: &[u8]) -> Vec<Vec<u8>> {
    const MOST: usize = 1_200;
    let whole = udp(from, to, data);
    let pieces = whole.chunks(MOST).zip(0..);
    let piece = |(piece, number): (&[u8], usize)| {
        let more = (number + 1) * MOST < whole.len();
        let header = Ip { fragment: Some((id, number * MOST, more)), ..Ip::new(from.ip(), to.ip()) };
        header.carrying(UDP, piece)
    };
    pieces.map(piece).collect()
}

/// What a fragment belongs to: its ends are in the first one only.
fn is_between(packet: &Packet, from: SocketAddr, to: SocketAddr) -> bool {
    (packet.source, packet.destination, packet.protocol) == (from.ip(), to.ip(), UDP)
}

/// Puts the next datagram together; its checksum is looked at.
#[track_caller]
fn receive_whole(raw: &Raw, from: SocketAddr, to: SocketAddr) -> Packet {
    let mut pieces = BTreeMap::new();
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let Some(packet) = raw.next(PATIENCE, |packet| is_between(packet, from, to)) else { break };
        pieces.insert(packet.fragment.0, packet);
        let mut payload = Vec::new();
        let is_next = |payload: &Vec<u8>, at: usize| payload.len() == at;
        for (at, piece) in &pieces {
            if is_next(&payload, *at) {
                payload.extend(&piece.payload);
            }
        }
        let last = pieces.values().next_back().unwrap();
        if !last.fragment.1 && payload.len() == last.fragment.0 + last.payload.len() {
            let whole = Packet { payload, fragment: (0, false), ..last.clone() };
            whole.assert_checksum();
            assert_eq!(whole.ends(), (from, to));
            return whole;
        }
    }
    panic!("no datagram from {from} to {to}: {:?}", pieces.keys());
}

fn assert_answer(raw: &Raw, to: SocketAddr, from: SocketAddr, name: &str, data: &[u8]) {
    let answer = receive_whole(raw, to, from);
    let line = format!("{name} ");
    assert!(answer.data().starts_with(line.as_bytes()), "{:x?}", &answer.data()[..64]);
    assert_eq!((answer.data().len(), &answer.data()[100..]), (data.len(), &data[100..]));
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7) as u8).collect()
}

#[test]
fn fragments_of_two_clients_do_not_mix() {
    for setup in setups() {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let backends = two(&mut stage);
        let clients = [Raw::new(&stage), Raw::new(&stage)];
        for (number, backend) in (1..).zip(&backends) {
            for to in node_ports(&stage, number) {
                let data = [data(3_000), data(3_300)];
                let at = |client: usize| clients[client].at(4_100, to.ip());
                // Where one address stands for both clients, the identification alone tells them apart, as behind
                // any translator (RFC 6864, section 5.3).
                let id = |client: usize| if number == 1 { 77 } else { 77 + client as u32 };
                let sent = [0, 1].map(|client| fragments(at(client), to, id(client), &data[client]));
                for (one, two) in sent[0].iter().zip(&sent[1]) {
                    clients[0].send(one);
                    clients[1].send(two);
                }
                for (client, raw) in clients.iter().enumerate() {
                    assert_answer(raw, to, at(client), backend.name(), &data[client]);
                }
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

/// What is sent in which order, by number of the fragment, and whether it arrives: fragments that come before the
/// first one are lost, and with them the datagram.
const ORDERS: [(&[usize], bool); 6] = [
    (&[0, 1, 2], true),
    (&[0, 2, 1], true),
    (&[1, 0, 2], false),
    (&[2, 1, 0], false),
    (&[1, 0, 2, 1], true),
    (&[2, 1], false),
];

#[test]
fn fragments_that_come_in_another_order_arrive_or_die() {
    for masquerade_always in [false, true] {
        let Some(mut stage) = Stage::new(&Setup { masquerade_always, ..Setup::default() }) else { return };
        let backends: [Backend; 2] = two(&mut stage);
        let raw = Raw::new(&stage);
        let data = data(3_000);
        let mut id = 100;
        let before = stage.counter(Counter::PacketUnsupported);
        for (number, backend) in (1..).zip(&backends) {
            for kind in [Kind::NodePort, Kind::ClusterIp] {
                for to in Family::BOTH.map(|family| frontend(number, kind, family, stage.node())) {
                    let from = raw.at(4_200, to.ip());
                    for (order, arrives) in ORDERS {
                        id += 1;
                        let sent = fragments(from, to, id, &data);
                        assert_eq!(sent.len(), 3);
                        order.iter().for_each(|number| raw.send(&sent[*number]));
                        if arrives {
                            assert_answer(&raw, to, from, backend.name(), &data);
                        }
                    }
                    // Nothing of the others came back, nor anything twice.
                    raw.assert_silence();
                    // Nor is anything of them in the way of what follows.
                    raw.ask(from, to, |_| {});
                }
            }
        }
        assert_eq!(stage.counter(Counter::PacketUnsupported), before);
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn a_fragment_follows_nobody_elses_first_one() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = two(&mut stage);
    let raw = Raw::new(&stage);
    let data = data(3_000);
    let [other4, other6] = node_ports(&stage, 2);
    for (to, other) in node_ports(&stage, 1).into_iter().zip([other4, other6]) {
        let from = raw.at(4_300, to.ip());
        fragments(from, to, 9, &data).iter().for_each(|fragment| raw.send(fragment));
        assert_answer(&raw, to, from, "local", &data);
        // The same identification again, for another NodePort of the same address, in the wrong order: the later
        // ones go where the last datagram of that identification went, and find nothing to complete there.
        let again = fragments(from, other, 9, &data);
        [2, 1, 0].iter().for_each(|number: &usize| raw.send(&again[*number]));
        raw.assert_silence();
        // In the right order it is theirs.
        let again = fragments(from, other, 9, &data);
        again.iter().for_each(|fragment| raw.send(fragment));
        assert_answer(&raw, other, from, "remote", &data);
        raw.assert_silence();
    }
    drop(backends);
    stage.assert_nothing_left();
}
