//! The node's own packets: processes in its network whose sockets nobody sees.

use crate::{
    ask::{Seen, assert_all_answer, assert_all_silent},
    service::{Kind, external_local, ready, service},
    stage::{Setup, Stage},
};
use proxy_common::abi::Counter;
use shunt::{
    lab::lan::{Options, Overlay, RpFilter},
    model::{Family, Service},
};
use std::net::IpAddr;

/// NodePorts are on the node's own addresses: what it sends there never leaves it.
const LEAVING: [Kind; 3] = [Kind::ClusterIp, Kind::LoadBalancer, Kind::External];

#[test]
fn the_node_reaches_endpoints_here_and_elsewhere_under_any_reverse_path_filter() {
    for (overlay, rp_filter, offload) in [
        (Overlay::Plain, RpFilter::Strict, false),
        (Overlay::Vxlan, RpFilter::Strict, true),
        (Overlay::Vxlan, RpFilter::Off, false),
    ] {
        let lan = Options { overlay, rp_filter, offload, ..Options::default() };
        let Some(mut stage) = Stage::new(&Setup { lan, ..Setup::default() }) else { return };
        let (near, far) = (stage.pod(0, "near"), stage.pod(1, "far"));
        let peer = stage.as_peer(stage.node());
        for (number, backend, seen) in [(1, &near, stage.as_bridge()), (2, &far, peer)] {
            stage.serve(&service(number), &ready(&[backend]));
            assert_all_answer(stage.node(), &stage.dials(number, &LEAVING), backend.name(), seen);
        }
        drop((near, far));
        stage.assert_nothing_left();
    }
}

#[test]
fn the_node_reaches_a_routed_pod_of_its_own() {
    let Some(mut stage) = Stage::new(&Setup { pods: true, ..Setup::default() }) else { return };
    let routed = stage.routed_pod(0, "routed");
    stage.serve(&service(1), &ready(&[&routed]));
    assert_all_answer(stage.node(), &stage.dials(1, &LEAVING), "routed", stage.as_node());
    drop(routed);
    stage.assert_nothing_left();
}

#[test]
fn the_node_reaches_the_whole_cluster_where_the_external_policy_is_local() {
    let Some(mut stage) = Stage::usual() else { return };
    let far = stage.pod(1, "far");
    stage.serve(&external_local(1), &ready(&[&far]));
    let dials = stage.dials(1, &[Kind::LoadBalancer, Kind::External]);
    assert_all_answer(stage.node(), &dials, "far", stage.as_node());
    drop(far);
    stage.assert_nothing_left();
}

#[test]
fn source_ranges_bind_the_node_too() {
    let Some(mut stage) = Stage::usual() else { return };
    let (near, far) = (stage.pod(0, "near"), stage.pod(1, "far"));
    let node = [IpAddr::from(stage.node().ipv4()), stage.node().ipv6().into()];
    let client = Family::BOTH.map(|family| stage.client().ip_like(near.ip(family)));
    let ranges = |ips: [IpAddr; 2]| ips.map(ipnet::IpNet::from).to_vec();
    for (number, backend, seen) in [(1, &near, stage.as_bridge()), (2, &far, stage.as_node())] {
        let dials = stage.dials(number, &[Kind::LoadBalancer]);
        stage.serve(&Service { source_ranges: ranges(client), ..service(number) }, &ready(&[backend]));
        assert_all_silent(stage.node(), &dials);
        stage.serve(&Service { source_ranges: ranges(node), ..service(number) }, &ready(&[backend]));
        assert_all_answer(stage.node(), &dials, backend.name(), seen);
    }
    drop((near, far));
    stage.assert_nothing_left();
}

#[test]
fn what_the_socket_path_leaves_alone_is_decided_by_the_packet_path() {
    let Some(mut stage) = Stage::usual() else { return };
    let far = stage.pod(1, "far");
    let node = [IpAddr::from(stage.node().ipv4()), stage.node().ipv6().into()];
    let source_ranges = node.map(ipnet::IpNet::from).to_vec();
    stage.serve(&Service { source_ranges, ..external_local(1) }, &ready(&[&far]));
    let on_node = stage.with_sockets(stage.node());
    // Its source address is not known before there is a packet: the socket path passes it on.
    let counters = [Counter::SourceUnknown, Counter::FlowNew];
    let ask = |kinds: &[Kind], seen| {
        let dials = stage.dials(1, kinds);
        stage.counted(counters, || assert_all_answer(on_node.clone(), &dials, "far", seen)).1
    };
    let [unknown, flows] = ask(&[Kind::LoadBalancer], stage.as_node());
    assert!(unknown > 0 && flows > 0);
    // Its other frontends, the node's NodePorts among them, are served before there is one.
    assert_eq!(ask(&[Kind::ClusterIp, Kind::NodePort, Kind::External], Seen::Client), [0, 0]);
    drop(far);
    stage.assert_nothing_left();
}
