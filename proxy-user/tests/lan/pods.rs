//! Pods on bridges made by the CNI plugins, and pods with routes.

use super::{SECOND, both, ip, reaches, skipped};
use shunt::lab::{
    MtuProbe, Namespace, TcpServer, UdpServer,
    lan::{Lan, Options, Overlay, Pod},
    probe_path_mtu, run, tcp_ask,
};
use std::{fs, io, net::SocketAddr, process::Command};

fn pod_reaches(client: &Pod, server: &Pod) {
    for to in both(server.ipv4(), server.ipv6()) {
        reaches(client, client.ip_like(to), server, to);
    }
}

/// How many packets a device has sent; `None` where there is no such device.
fn sent(namespace: &Namespace, device: &str) -> Option<u64> {
    let text = namespace.run(|| fs::read_to_string("/proc/thread-self/net/dev")).unwrap().unwrap();
    let counters = text.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'))?;
    Some(counters.split_whitespace().nth(9).unwrap().parse().unwrap())
}

fn all_reach_each_other(overlay: Overlay) {
    let lan = Lan::new(&Options { overlay, ..Options::default() }).unwrap();
    let mut pods = Vec::new();
    for node in lan.nodes() {
        for label in ["a", "b"] {
            pods.push(node.add_pod(&format!("{label} of {}", node.name())).unwrap());
            pods.push(node.add_routed_pod(&format!("routed {label} of {}", node.name())).unwrap());
        }
    }
    for (from, client) in pods.iter().enumerate() {
        for (to, server) in pods.iter().enumerate().filter(|(to, _)| *to != from) {
            let before = sent(lan.node(from / 4), "flannel.1");
            pod_reaches(client, server);
            let after = sent(lan.node(from / 4), "flannel.1");
            let through_vxlan = overlay == Overlay::Vxlan && from / 4 != to / 4;
            assert_eq!(
                after > before,
                through_vxlan,
                "{} to {}: {before:?} to {after:?}",
                client.label(),
                server.label()
            );
        }
    }
    for (node, pods) in lan.nodes().iter().zip(pods.chunks(4)) {
        for pod in pods {
            for to in both(node.ipv4(), node.ipv6()) {
                reaches(pod, pod.ip_like(to), node, to);
            }
        }
    }
}

#[test]
fn pods_reach_each_other_over_plain_routes() {
    if !skipped() {
        all_reach_each_other(Overlay::Plain);
    }
}

#[test]
fn pods_reach_each_other_over_vxlan() {
    if !skipped() {
        all_reach_each_other(Overlay::Vxlan);
    }
}

#[test]
fn pods_have_the_largest_packet_that_their_network_carries() {
    if skipped() {
        return;
    }
    for (overlay, mtu) in [(Overlay::Plain, 1500), (Overlay::Vxlan, 1450)] {
        let lan = Lan::new(&Options { overlay, ..Options::default() }).unwrap();
        let server = lan.node(1).add_pod("server").unwrap();
        let clients = [lan.node(0).add_pod("pod").unwrap(), lan.node(0).add_routed_pod("routed").unwrap()];
        for to in both(server.ipv4(), server.ipv6()) {
            let server = UdpServer::start(&server, "server", SocketAddr::new(to, 53)).unwrap();
            for client in &clients {
                let probe = |length| client.run(|| probe_path_mtu(server.address(), length, SECOND)).unwrap();
                assert_eq!(
                    probe(mtu as usize + 1).unwrap(),
                    MtuProbe::TooBig(mtu),
                    "{overlay:?} {}",
                    client.label()
                );
                let fits = probe(mtu as usize).unwrap();
                assert!(matches!(fits, MtuProbe::Fits(_)), "{overlay:?} {}: {fits:?}", client.label());
            }
        }
    }
}

#[test]
fn the_bridge_is_as_cnis_make_it() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options::default()).unwrap();
    let node = lan.node(1);
    let pod = node.add_pod("pod").unwrap();
    assert_eq!(both(pod.ipv4(), pod.ipv6()), ["10.244.2.2", "fd00:10:244:2::2"].map(ip));
    let output = match run(node, Command::new("bridge").args(["-d", "link"]), SECOND * 5) {
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => return eprintln!("no bridge(8)"),
        other => String::from_utf8(other.unwrap().stdout).unwrap(),
    };
    let (_, port) = output.split_once(pod.node_device()).unwrap();
    assert!(port.contains("master cni0") && port.contains("hairpin on"), "{output}");
}

#[test]
fn a_pod_that_is_removed_leaves_its_node_at_once() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options::default()).unwrap();
    let node = lan.node(0);
    let other = node.add_pod("other").unwrap();
    let alive = TcpServer::start(&other, "alive", SocketAddr::new(other.ipv4().into(), 80)).unwrap();
    for pod in [node.add_pod("pod").unwrap(), node.add_routed_pod("routed").unwrap()] {
        let server = TcpServer::start(&pod, "pod", SocketAddr::new(pod.ipv4().into(), 80)).unwrap();
        let device = pod.node_device().to_owned();
        node.run(|| tcp_ask(server.address(), SECOND)).unwrap().unwrap();
        node.remove(pod).unwrap();
        let error = node.device_index(&device).unwrap_err();
        assert_eq!(error.source.raw_os_error(), Some(libc::ENODEV));
        node.run(|| tcp_ask(server.address(), SECOND)).unwrap().unwrap_err();
    }
    assert_eq!(node.run(|| tcp_ask(alive.address(), SECOND)).unwrap().unwrap().name, "alive");
    let next = node.add_routed_pod("next").unwrap();
    assert_eq!(next.ipv4().to_string(), "10.245.1.2", "an address is not used twice");
}
