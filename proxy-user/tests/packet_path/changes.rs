//! Flows while endpoints and Services change, and the switches for a client's address.

use crate::{
    ask::{PATIENCE, PROTOCOLS, Seen, ask, asker, assert_all_answer, assert_all_silent, assert_refused},
    backend::Backend,
    service::{EXTERNAL, KINDS, Kind, ready, service},
    stage::{Setup, Stage},
};
use proxy_common::abi::{Counter, PacketSettings};
use shunt::{
    lab::{TcpSession, UdpAsker},
    model::Protocol,
};
use std::net::SocketAddr;

fn sessions(stage: &Stage, dials: &[(Protocol, SocketAddr)]) -> Vec<(SocketAddr, TcpSession)> {
    let tcp = dials.iter().filter(|(protocol, _)| *protocol == Protocol::Tcp);
    tcp.map(|(_, to)| (*to, stage.client().run(|| TcpSession::open(*to, PATIENCE)).unwrap().unwrap()))
        .collect()
}

fn askers(stage: &Stage, dials: &[(Protocol, SocketAddr)]) -> Vec<(SocketAddr, UdpAsker)> {
    let udp = dials.iter().filter(|(protocol, _)| *protocol == Protocol::Udp);
    udp.map(|(_, to)| (*to, stage.client().run(|| asker(*to)).unwrap().unwrap())).collect()
}

/// Every session still reaches whom it reached at first.
fn assert_alive(sessions: &mut [(SocketAddr, TcpSession)]) {
    for (to, session) in sessions {
        session.exchange(&[7; 4096]).unwrap_or_else(|error| panic!("{to}: {error}"));
    }
}

/// Every asker hears this one.
#[track_caller]
fn assert_heard(askers: &[(SocketAddr, UdpAsker)], name: &str) {
    for (to, asker) in askers {
        assert_eq!(asker.ask(*to).unwrap(), (name.to_owned(), *to));
    }
}

#[test]
fn when_an_endpoint_goes_its_tcp_flows_live_on_and_its_udp_flows_move_at_once() {
    let Some(mut stage) = Stage::usual() else { return };
    let (near, far) = (stage.pod(0, "near"), stage.pod(1, "far"));
    for (first, then) in [(&near, &far), (&far, &near)] {
        stage.serve(&service(1), &ready(&[first]));
        let dials = stage.dials(1, &KINDS);
        let (mut sessions, askers) = (sessions(&stage, &dials), askers(&stage, &dials));
        assert_heard(&askers, first.name());
        stage.serve(&service(1), &ready(&[first, then]));
        assert_heard(&askers, first.name());
        stage.serve(&service(1), &ready(&[then]));
        stage.settle();
        assert_heard(&askers, then.name());
        assert_alive(&mut sessions);
        assert!(sessions.iter().all(|(_, session)| session.reply().name == first.name()));
        // New ones go where endpoints are.
        let seen = if then.name() == "near" { Seen::Client } else { stage.as_node() };
        assert_all_answer(&**stage.client(), &dials, then.name(), seen);
    }
    assert!(stage.counter(Counter::FlowReplaced) >= 16);
    drop((near, far));
    stage.assert_nothing_left();
}

#[test]
fn tcp_flows_outlive_all_endpoints_and_their_service() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = [stage.pod(0, "near"), stage.pod(1, "far")];
    for (number, backend) in (1..).zip(&backends) {
        stage.serve(&service(number), &ready(&[backend]));
        let dials = stage.dials(number, &KINDS);
        let (mut sessions, askers) = (sessions(&stage, &dials), askers(&stage, &dials));
        assert_heard(&askers, backend.name());
        stage.serve(&service(number), &[]);
        assert_alive(&mut sessions);
        for (to, asker) in &askers {
            // Unconnected: the refusal is told to the next call of a connected socket only.
            asker.socket().connect(to).unwrap();
            assert_eq!(asker.ask(*to).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused, "{to}");
        }
        dials.iter().for_each(|(protocol, to)| assert_refused(&**stage.client(), *protocol, *to));
        stage.forget(&service(number));
        stage.settle();
        assert_alive(&mut sessions);
    }
    drop(backends);
    stage.assert_nothing_left();
}

#[test]
fn masquerade_always_hides_the_client_from_pods_of_the_node() {
    let setup = Setup { masquerade_always: true, pods: true, ..Setup::default() };
    let Some(mut stage) = Stage::new(&setup) else { return };
    let (bridged, routed) = (stage.pod(0, "bridged"), stage.routed_pod(0, "routed"));
    let cases: [(&Backend, Seen); 2] = [(&bridged, stage.as_bridge()), (&routed, stage.as_node())];
    for (number, (backend, seen)) in (1..).zip(cases) {
        stage.serve(&service(number), &ready(&[backend]));
        for client in [(&**stage.client()).into(), bridged.place(), routed.place()] {
            assert_all_answer(client, &stage.dials(number, &KINDS), backend.name(), seen);
        }
    }
    // One in the network of the node answers from there, whoever asks.
    let host = stage.host_pod(0, "host");
    stage.serve(&service(3), &ready(&[&host]));
    assert_all_answer(&**stage.client(), &stage.dials(3, &KINDS), "host", Seen::Client);
    drop((bridged, routed, host));
    stage.assert_nothing_left();
}

#[test]
fn without_source_ports_nothing_is_sent_on_in_the_nodes_name() {
    let Some(mut stage) = Stage::usual() else { return };
    let (near, far) = (stage.pod(0, "near"), stage.pod(1, "far"));
    stage.serve(&service(1), &ready(&[&near]));
    stage.serve(&service(2), &ready(&[&far]));
    stage.set_packets(&PacketSettings::default());
    // One frontend for each family and protocol: a client's kernel may use one port for two.
    assert_all_answer(&**stage.client(), &stage.dials(1, &[Kind::NodePort]), "near", Seen::Client);
    assert_all_silent(&**stage.client(), &stage.dials(2, &EXTERNAL));
    assert_eq!(stage.counter(Counter::PortsExhausted), 12);
    drop((near, far));
    stage.assert_nothing_left();
}

#[test]
fn when_every_source_port_is_taken_only_new_flows_suffer() {
    let Some(mut stage) = Stage::new(&Setup { ports: 20_000..=20_007, ..Setup::default() }) else { return };
    let far = stage.pod(1, "far");
    stage.serve(&service(1), &ready(&[&far]));
    for protocol in PROTOCOLS {
        let dials: Vec<_> = stage.dials(1, &EXTERNAL).into_iter().filter(|dial| dial.0 == protocol).collect();
        let (protocol, to) = dials[0];
        let ports = || stage.counter(Counter::PortsExhausted);
        let before = ports();
        let mut open = (Vec::new(), Vec::new());
        // Ports are tried by chance, so the last few are seldom found.
        for _ in 0..64 {
            if ports() > before {
                break;
            }
            let asked = stage.client().run(|| match protocol {
                Protocol::Tcp => {
                    TcpSession::open(to, crate::ask::SILENCE).map(|session| open.0.push((to, session)))
                }
                _ => {
                    let asker = UdpAsker::ipv4(crate::ask::SILENCE)?;
                    asker.ask(to).map(|_| open.1.push((to, asker)))
                }
            });
            assert!(asked.unwrap().is_ok() || ports() > before);
        }
        assert!(ports() > before, "{protocol}: sixty-four flows by eight ports");
        let opened = open.0.len() + open.1.len();
        assert!((4..=8).contains(&opened), "{protocol}: {opened} flows");
        assert_alive(&mut open.0);
        assert_heard(&open.1, "far");
    }
    assert_eq!(ask(&**stage.client(), Protocol::Tcp, stage.dials(1, &EXTERNAL)[2].1).unwrap().name, "far");
    drop(far);
    stage.assert_nothing_left();
}
