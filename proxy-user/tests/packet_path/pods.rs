//! Clients in pods whose sockets nobody sees: virtual machines, gVisor, Kata. Their packets arrive on `cni0` or on
//! `cali…`, named by `--pod-interfaces`.

use crate::{
    ask::{Seen, assert_all_answer, assert_all_silent},
    backend::Backend,
    service::{EXTERNAL, KINDS, Kind, dials, external_local, ready, service},
    stage::{Setup, Stage},
};
use proxy_common::abi::Counter;
use shunt::{
    lab::lan::{Options, Overlay},
    model::{Family, Service},
};

fn stage(pods: bool, overlay: Overlay) -> Option<Stage> {
    Stage::new(&Setup { pods, lan: Options { overlay, ..Options::default() }, ..Setup::default() })
}

/// A source range that holds this pod alone.
fn only(pod: &Backend) -> Vec<ipnet::IpNet> {
    Family::BOTH.map(|family| ipnet::IpNet::from(pod.ip(family))).to_vec()
}

#[test]
fn a_pod_reaches_endpoints_of_its_node() {
    let Some(mut stage) = stage(true, Overlay::Plain) else { return };
    let (one, two) = (stage.pod(0, "one"), stage.pod(0, "two"));
    let (three, four) = (stage.routed_pod(0, "three"), stage.routed_pod(0, "four"));
    for (number, backend) in (1..).zip([&one, &three]) {
        stage.serve(&service(number), &ready(&[backend]));
    }
    for (client, number, name, seen) in [
        // On one bridge the answer would go from pod to pod, past the node: the bridge stands for the client.
        (&two, 1, "one", stage.as_bridge()),
        (&two, 2, "three", Seen::Client),
        (&four, 1, "one", Seen::Client),
        (&four, 2, "three", Seen::Client),
    ] {
        assert_all_answer(client.place(), &stage.dials(number, &KINDS), name, seen);
    }
    drop((one, two, three, four));
    stage.assert_nothing_left();
}

#[test]
fn a_pod_reaches_itself_and_sees_the_node() {
    let Some(mut stage) = stage(true, Overlay::Plain) else { return };
    let (bridged, routed) = (stage.pod(0, "bridged"), stage.routed_pod(0, "routed"));
    for (number, pod, seen) in [(1, &bridged, stage.as_bridge()), (2, &routed, stage.as_node())] {
        stage.serve(&service(number), &ready(&[pod]));
        assert_all_answer(pod.place(), &stage.dials(number, &KINDS), pod.name(), seen);
    }
    drop((bridged, routed));
    stage.assert_nothing_left();
}

#[test]
fn a_pod_reaches_endpoints_of_another_node() {
    for overlay in [Overlay::Plain, Overlay::Vxlan] {
        let Some(mut stage) = stage(true, overlay) else { return };
        let (bridged, routed) = (stage.pod(0, "bridged"), stage.routed_pod(0, "routed"));
        let (there, routed_there) = (stage.pod(1, "there"), stage.routed_pod(1, "routed-there"));
        for (number, backend) in (1..).zip([&there, &routed_there]) {
            stage.serve(&service(number), &ready(&[backend]));
            for client in [&bridged, &routed] {
                assert_all_answer(
                    client.place(),
                    &stage.dials(number, &KINDS),
                    backend.name(),
                    stage.as_peer(stage.node()),
                );
            }
        }
        drop((bridged, routed, there, routed_there));
        stage.assert_nothing_left();
    }
}

#[test]
fn a_pod_reaches_endpoints_in_the_network_of_a_node() {
    // The API server is such a one.
    let Some(mut stage) = stage(true, Overlay::Plain) else { return };
    let (bridged, routed) = (stage.pod(0, "bridged"), stage.routed_pod(0, "routed"));
    let (here, there) = (stage.host_pod(0, "here"), stage.host_pod(1, "there"));
    for (number, backend, seen) in [(1, &here, Seen::Client), (2, &there, stage.as_node())] {
        stage.serve(&service(number), &ready(&[backend]));
        for client in [&bridged, &routed] {
            assert_all_answer(client.place(), &stage.dials(number, &KINDS), backend.name(), seen);
        }
    }
    drop((bridged, routed, here, there));
    stage.assert_nothing_left();
}

#[test]
fn a_pod_reaches_the_whole_cluster_where_the_external_policy_is_local() {
    let Some(mut stage) = stage(true, Overlay::Plain) else { return };
    let (bridged, routed) = (stage.pod(0, "bridged"), stage.routed_pod(0, "routed"));
    let there = stage.pod(1, "there");
    stage.serve(&external_local(1), &ready(&[&there]));
    for pod in [&bridged, &routed] {
        assert_all_answer(pod.place(), &stage.dials(1, &EXTERNAL), "there", stage.as_node());
    }
    // Out and back through the load balancer: a client outside hears nothing meanwhile.
    assert_all_silent(&**stage.client(), &stage.dials(1, &EXTERNAL));
    drop((bridged, routed, there));
    stage.assert_nothing_left();
}

#[test]
fn a_pod_outside_of_the_source_ranges_is_kept_away() {
    let Some(mut stage) = stage(true, Overlay::Plain) else { return };
    let (within, without) = (stage.pod(0, "within"), stage.pod(0, "without"));
    let routed = stage.routed_pod(0, "routed");
    let there = stage.pod(1, "there");
    // Before the external policy lets a pod go anywhere.
    let restricted = Service { source_ranges: only(&within), ..external_local(1) };
    stage.serve(&restricted, &ready(&[&there]));
    let dials = stage.dials(1, &[Kind::LoadBalancer]);
    assert_all_answer(within.place(), &dials, "there", stage.as_node());
    for pod in [&without, &routed] {
        assert_all_silent(pod.place(), &dials);
        let others = stage.dials(1, &[Kind::ClusterIp, Kind::NodePort, Kind::External]);
        assert_all_answer(pod.place(), &others, "there", stage.as_node());
    }
    assert_eq!(stage.counter(Counter::PacketSourceNotAllowed), 8);
    drop((within, without, routed, there));
    stage.assert_nothing_left();
}

#[test]
fn a_node_port_of_another_node_is_judged_there() {
    let Some(mut stage) = Stage::new(&Setup { shunts: 2, pods: true, ..Setup::default() }) else { return };
    let pod = stage.pod(0, "pod");
    let here = stage.pod(0, "here");
    let there = stage.lan().node(1);
    let to = dials(1, &[Kind::NodePort], there);
    stage.serve(&external_local(1), &ready(&[&here]));
    assert_all_silent(pod.place(), &to);
    stage.serve(&service(1), &ready(&[&here]));
    let there = stage.lan().node(1);
    let seen = Seen::Ips([there.ipv4().into(), there.ipv6().into()]);
    assert_all_answer(pod.place(), &to, "here", seen);
    drop((pod, here));
    stage.assert_nothing_left();
}

#[test]
fn without_pod_interfaces_packets_for_services_are_caught_where_they_leave() {
    let Some(mut stage) = stage(false, Overlay::Plain) else { return };
    let (routed, near, far) = (stage.routed_pod(0, "routed"), stage.pod(0, "near"), stage.pod(1, "far"));
    for (number, backend, seen) in [(1, &near, stage.as_bridge()), (2, &far, stage.as_node())] {
        stage.serve(&external_local(number), &ready(&[backend]));
        // Addresses of other machines, as far as the node's routes know.
        let dials = stage.dials(number, &[Kind::ClusterIp, Kind::LoadBalancer, Kind::External]);
        assert_all_answer(routed.place(), &dials, backend.name(), seen);
    }
    // But what is for the node itself would have to turn round there.
    let host = stage.host_pod(0, "host");
    stage.serve(&service(3), &ready(&[&host]));
    assert_all_silent(routed.place(), &stage.dials(3, &[Kind::ClusterIp]));
    assert_eq!(stage.counter(Counter::PacketUnreturnable), 4);
    drop((routed, near, far, host));
    stage.assert_nothing_left();
}
