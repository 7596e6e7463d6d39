//! Clients outside, by every kind of frontend: who answers, and whom it sees.

use crate::{
    ask::{PROTOCOLS, Seen, ask_from, assert_all_answer},
    service::{KINDS, Kind, frontend, ready, service},
    stage::{Setup, Stage},
};
use shunt::{
    lab::lan::{Options, Overlay},
    model::Family,
};
use std::net::{IpAddr, SocketAddr};

#[test]
fn a_pod_of_the_node_sees_the_client_itself() {
    for clsact in [false, true] {
        for offload in [false, true] {
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
}

/// Endpoints of the second node answer, and see this address of the first.
fn other_node_answers(lan: Options, clsact: bool, seen: [&str; 2]) {
    let Some(mut stage) = Stage::new(&Setup { lan, clsact, ..Setup::default() }) else { return };
    let (bridged, routed) = (stage.pod(1, "bridged"), stage.routed_pod(1, "routed"));
    let seen = Seen::Ips(seen.map(|ip| ip.parse::<IpAddr>().unwrap()));
    for (number, backend) in (1..).zip([&bridged, &routed]) {
        stage.serve(&service(number), &ready(&[backend]));
        assert_all_answer(&**stage.client(), &stage.dials(number, &KINDS), backend.name(), seen);
    }
    let host = stage.host_pod(1, "host");
    stage.serve(&service(3), &ready(&[&host]));
    assert_all_answer(&**stage.client(), &stage.dials(3, &KINDS), "host", stage.as_node());
    drop((bridged, routed, host));
    stage.assert_nothing_left();
}

#[test]
fn a_pod_of_another_node_sees_the_node() {
    for (offload, clsact) in [(false, false), (true, true)] {
        let lan = Options { offload, ..Options::default() };
        other_node_answers(lan, clsact, ["192.0.2.11", "2001:db8:1::11"]);
    }
}

#[test]
fn a_pod_of_another_node_sees_the_node_by_its_address_in_the_overlay() {
    for (offload, clsact) in [(true, false), (false, true)] {
        let lan = Options { offload, overlay: Overlay::Vxlan, ..Options::default() };
        other_node_answers(lan, clsact, ["10.244.1.0", "fd00:10:244:1::"]);
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
