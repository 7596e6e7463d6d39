//! Headers that sockets rarely send: IPv4 options, IPv6 extension headers, VLAN tags, addresses of other links.

use crate::{
    ask::{PROTOCOLS, ask},
    path_mtu::{setups, two},
    raw::{Raw, node_ports},
    service::{Kind, frontend},
    stage::Stage,
    wire::{self, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, Ip, ROUTING, UDP, frame, tcp, udp},
};
use shunt::model::Family;

/// Options that do nothing: padding of four bytes (RFC 8200, 4.2).
const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];
/// A routing header of a type, with so many segments left.
const fn routing(kind: u8, left: u8) -> [u8; 6] {
    [kind, left, 0, 0, 0, 0]
}

type Change = Box<dyn Fn(&mut Ip)>;

/// What a header of each family may carry.
fn headers() -> Vec<(&'static str, Family, Change)> {
    let v4 = |options: &'static [u8]| Box::new(|ip: &mut Ip| ip.options = options.to_vec()) as Change;
    let v6 = |extensions: Vec<(u8, Vec<u8>)>| {
        Box::new(move |ip: &mut Ip| ip.extensions = extensions.clone()) as Change
    };
    let padding = || PADDING.to_vec();
    // An option for experiments, which who does not know it skips (RFC 4727).
    let long = || [&[0x1e, 36][..], &[0; 36]].concat();
    vec![
        ("no operation", Family::V4, v4(&[1, 1, 1, 0])),
        ("router alert", Family::V4, v4(&[148, 4, 0, 0])),
        ("a timestamp", Family::V4, v4(&[68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("the most options", Family::V4, v4(&[1; 40])),
        ("hop-by-hop options", Family::V6, v6(vec![(HOP_BY_HOP, padding())])),
        ("destination options", Family::V6, v6(vec![(DESTINATION_OPTIONS, padding())])),
        ("long destination options", Family::V6, v6(vec![(DESTINATION_OPTIONS, long())])),
        ("a routing header of type 0 that is done", Family::V6, v6(vec![(ROUTING, routing(0, 0).into())])),
        ("an atomic fragment", Family::V6, v6(vec![(FRAGMENT, vec![0, 0, 0, 0, 0, 7])])),
        (
            "one of each",
            Family::V6,
            v6(vec![
                (HOP_BY_HOP, padding()),
                (DESTINATION_OPTIONS, padding()),
                (ROUTING, routing(0, 0).into()),
                (FRAGMENT, vec![0, 0, 0, 0, 0, 8]),
                (DESTINATION_OPTIONS, long()),
            ]),
        ),
    ]
}

#[test]
fn packets_with_options_and_extension_headers_arrive_and_are_answered() {
    for setup in setups() {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let backends = two(&mut stage);
        let raw = Raw::new(&stage);
        for (number, backend) in (1..).zip(&backends) {
            let mut port = 5_000;
            for (what, family, header) in headers() {
                let to = frontend(number, Kind::NodePort, family, stage.node());
                port += 1;
                let from = raw.at(port, to.ip());
                let line = raw.ask(from, to, &header);
                assert!(line.starts_with(backend.name()), "{what}: {line}");
                // A connection begins so too.
                let mut ip = Ip::new(from.ip(), to.ip());
                header(&mut ip);
                raw.send(&ip.carrying(wire::TCP, &tcp(from, to, 1_000, 0, wire::SYN, b"")));
                let answer = raw.receive(to, from);
                let (_, acknowledged, flags, _) = answer.segment();
                assert_eq!((acknowledged, flags), (1_001, wire::SYN | wire::ACK), "{what}: {answer:x?}");
                raw.send(&ip.carrying(wire::TCP, &tcp(from, to, 1_001, 0, wire::RST, b"")));
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn a_packet_that_is_to_visit_another_node_first_is_left_alone() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = two(&mut stage);
    let raw = Raw::new(&stage);
    let to = frontend(1, Kind::NodePort, Family::V6, stage.node());
    raw.send_udp(raw.at(5_100, to.ip()), to, b"?", |ip| {
        ip.extensions = vec![(ROUTING, routing(0, 1).into())];
    });
    // The node's own answer: RFC 5095, parameter problem.
    let (kind, _, _) = raw.receive_error().error().unwrap();
    assert_eq!(kind, [4, 0]);
    raw.assert_silence();
    drop(backends);
    stage.assert_nothing_left();
}

#[test]
fn a_frame_to_another_host_is_not_served() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = two(&mut stage);
    let raw = Raw::new(&stage);
    // The switch floods what it does not know: every node sees it.
    let unknown = [2, 0, 0, 0, 0, 0x77];
    for number in [1, 2] {
        for kind in [Kind::NodePort, Kind::ClusterIp] {
            for to in Family::BOTH.map(|family| frontend(number, kind, family, stage.node())) {
                let from = raw.at(5_200, to.ip());
                let packet = Ip::new(from.ip(), to.ip()).carrying(UDP, &udp(from, to, b"?"));
                for mac in [unknown, [0xff; 6]] {
                    raw.send_frame(&frame(mac, raw.frames().mac(), &[], &packet));
                    raw.assert_silence();
                }
            }
        }
    }
    drop(backends);
    stage.assert_nothing_left();
}

/// IEEE 802.1Q, priority 3.
const fn tag(id: u8) -> [u8; 4] {
    [0x81, 0, 0x60, id]
}

#[test]
fn a_client_in_a_vlan_is_served() {
    for setup in setups() {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let client = match stage.lan().add_vlan(100) {
            Err(error) if error.is_unsupported() => {
                eprintln!("not run: this kernel has no VLAN devices");
                return;
            }
            other => other.unwrap(),
        };
        stage.follow_devices();
        let backends = two(&mut stage);
        for (number, backend) in (1..).zip(&backends) {
            for kind in [Kind::NodePort, Kind::ClusterIp] {
                for to in Family::BOTH.map(|family| frontend(number, kind, family, stage.node())) {
                    let (gateway, prefix) =
                        if to.is_ipv4() { ("198.18.0.11", 32) } else { ("2001:db8:18::11", 128) };
                    // The NodePorts share an address.
                    let _ =
                        client.add_route(to.ip(), prefix, Some(gateway.parse().unwrap()), client.device());
                    for protocol in PROTOCOLS {
                        let reply = ask(&client, protocol, to).unwrap();
                        assert_eq!((reply.name.as_str(), reply.peer_name), (backend.name(), to));
                        assert_eq!(reply.seen_client == reply.local, number == 1, "{}", reply.seen_client);
                    }
                }
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn a_frame_of_a_vlan_that_the_node_is_not_in_is_not_served() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = two(&mut stage);
    let raw = Raw::new(&stage);
    for number in [1, 2] {
        for to in node_ports(&stage, number) {
            let from = raw.at(5_300, to.ip());
            let packet = Ip::new(from.ip(), to.ip()).carrying(UDP, &udp(from, to, b"?"));
            for tags in [&[tag(7)][..], &[[0x88, 0xa8, 0, 9], tag(7)]] {
                raw.send_frame(&frame(raw.node(), raw.frames().mac(), tags, &packet));
                raw.assert_silence();
            }
            // A tag of priority alone is that of no VLAN.
            raw.send_frame(&frame(raw.node(), raw.frames().mac(), &[tag(0)], &packet));
            let answer = raw.receive(to, from);
            assert!(answer.data().starts_with(backends[usize::from(number) - 1].name().as_bytes()));
        }
    }
    drop(backends);
    stage.assert_nothing_left();
}
