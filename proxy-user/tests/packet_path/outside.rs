//! Clients outside, by every kind of frontend: who answers, and whom it sees.

use crate::{
    ask::{PROTOCOLS, Seen, ask_from, assert_all_answer},
    service::{KINDS, Kind, dials, frontend, ready, service},
    stage::{Setup, Stage},
};
use shunt::{
    lab::lan::{Options, Overlay},
    model::Family,
};
use std::net::SocketAddr;

#[test]
fn a_pod_of_the_node_sees_the_client_itself() {
    for (clsact, offload) in [(false, false), (true, true)] {
        let lan = Options { nodes: 1, offload, ..Options::default() };
        let Some(mut stage) = Stage::new(&Setup { lan, clsact, ..Setup::default() }) else { return };
        let (bridged, routed) = (stage.pod(0, "bridged"), stage.routed_pod(0, "routed"));
        for (number, backend) in (1..).zip([&bridged, &routed]) {
            stage.serve(&service(number), &ready(&[backend]));
            let dials = stage.dials(number, &KINDS);
            assert_all_answer(&**stage.client(), &dials, backend.name(), Seen::Client);
        }
        drop((bridged, routed));
        stage.assert_nothing_left();
    }
}

#[test]
fn a_pod_of_another_node_sees_the_address_by_which_the_node_leads_there() {
    for (overlay, offload, clsact) in [
        (Overlay::Plain, false, false),
        (Overlay::Plain, true, true),
        (Overlay::Vxlan, true, false),
        (Overlay::Vxlan, false, true),
    ] {
        let lan = Options { offload, overlay, ..Options::default() };
        let Some(mut stage) = Stage::new(&Setup { lan, clsact, ..Setup::default() }) else { return };
        let (bridged, routed) = (stage.pod(1, "bridged"), stage.routed_pod(1, "routed"));
        let host = stage.host_pod(1, "host");
        let peer = stage.as_peer(stage.node());
        for (number, backend, seen) in [(1, &bridged, peer), (2, &routed, peer), (3, &host, stage.as_node())]
        {
            stage.serve(&service(number), &ready(&[backend]));
            assert_all_answer(&**stage.client(), &stage.dials(number, &KINDS), backend.name(), seen);
        }
        drop((bridged, routed, host));
        stage.assert_nothing_left();
    }
}

#[test]
fn nodes_that_all_have_shunt_do_not_meddle_with_each_other() {
    for overlay in [Overlay::Plain, Overlay::Vxlan] {
        let lan = Options { overlay, ..Options::default() };
        let Some(mut stage) = Stage::new(&Setup { lan, shunts: 2, pods: true, ..Setup::default() }) else {
            return;
        };
        let backends = [stage.pod(0, "near"), stage.pod(1, "far"), stage.routed_pod(1, "routed")];
        for (number, backend) in (1..).zip(&backends) {
            stage.serve(&service(number), &ready(&[backend]));
        }
        for node in stage.lan().nodes() {
            for (number, backend) in (1..).zip(&backends) {
                let seen = if backend.is_on(node) { Seen::Client } else { stage.as_peer(node) };
                let dials = dials(number, &[Kind::NodePort], node);
                assert_all_answer(&**stage.client(), &dials, backend.name(), seen);
            }
        }
        // And from pods of the first node to those of the second.
        for (number, backend) in [(2, &backends[1]), (3, &backends[2])] {
            let seen = stage.as_peer(stage.node());
            assert_all_answer(backends[0].place(), &stage.dials(number, &KINDS), backend.name(), seen);
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn a_pod_in_the_network_of_its_node_sees_the_client_itself() {
    let Some(mut stage) = Stage::usual() else { return };
    let host = stage.host_pod(0, "host");
    stage.serve(&service(1), &ready(&[&host]));
    assert_all_answer(&**stage.client(), &stage.dials(1, &KINDS), "host", Seen::Client);
    drop(host);
    stage.assert_nothing_left();
}

#[test]
fn a_client_beyond_routers_is_seen_by_its_own_address() {
    let Some(mut stage) = Stage::usual() else { return };
    let (near, far) = (stage.pod(0, "near"), stage.pod(1, "far"));
    stage.serve(&service(1), &ready(&[&near]));
    stage.serve(&service(2), &ready(&[&far]));
    let client = stage.lan().wan().client();
    assert_all_answer(&**client, &stage.dials(1, &[Kind::NodePort]), "near", Seen::Client);
    assert_all_answer(&**client, &stage.dials(2, &[Kind::NodePort]), "far", stage.as_node());
    drop((near, far));
    stage.assert_nothing_left();
}

#[test]
fn one_port_of_a_client_reaches_one_endpoint_by_several_frontends() {
    let Some(mut stage) = Stage::usual() else { return };
    let pod = stage.pod(0, "pod");
    stage.serve(&service(1), &ready(&[&pod]));
    for (protocol, port) in PROTOCOLS.into_iter().zip([40_001, 40_002]) {
        for family in Family::BOTH {
            let client = stage.client();
            let from = SocketAddr::new(client.ip_like(pod.ip(family)), port);
            let asked = KINDS.map(|kind| {
                let to = frontend(1, kind, family, stage.node());
                ask_from(&**client, protocol, from, to)
                    .unwrap_or_else(|error| panic!("{protocol} {to}: {error}"))
            });
            assert!(asked.iter().all(|(name, _)| name == "pod"), "{asked:?}");
            // Answers do not tell which frontend was dialled, so only one of the flows can keep the client's address.
            let mut seen: Vec<_> = asked.iter().map(|(_, seen)| *seen).collect();
            assert_eq!(seen[0], from);
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), KINDS.len(), "{asked:?}");
        }
    }
    drop(pod);
    stage.assert_nothing_left();
}
