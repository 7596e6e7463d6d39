//! What is wrong around Shunt: other proxies and sysctls.

use crate::{command::skipped, scene::Scene};
use std::process::Command;

#[test]
fn chains_of_kube_proxys() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    let mut command = Command::new("iptables-nft");
    command.args(["-t", "nat", "-N", "KUBE-SERVICES"]);
    scene.node.enter_command(&mut command);
    assert!(command.status().expect("iptables-nft: `cargo xtask test` installs it").success());
    let said = scene.diagnosis(&[]);
    said.has("kube-proxy", "iptables-nft chain KUBE-SERVICES", "shunt cleanup --kube-proxy");
    assert_eq!((said.code, said.found()), (1, vec!["kube-proxy"]));
}

#[test]
fn forwarding_that_is_off() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    scene.node.set_sysctl("net/ipv4/ip_forward", "0").unwrap();
    let said = scene.diagnosis(&[]);
    said.has("forwarding-off-ipv4", "net.ipv4.ip_forward is 0", "sysctl -w net.ipv4.ip_forward=1");
    assert_eq!((said.code, said.found()), (1, vec!["forwarding-off-ipv4"]));
}

#[test]
fn node_ports_among_the_ports_that_sockets_get() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    scene.node.set_sysctl("net/ipv4/ip_local_port_range", "30000 60999").unwrap();
    let said = scene.diagnosis(&[]);
    said.has(
        "node-ports-ephemeral",
        "net.ipv4.ip_local_port_range is 30000-60999",
        "ip_local_reserved_ports=30000-32767",
    );
    said.has("node-ports-ephemeral", "30080", "sysctl -w");
    assert_eq!((said.code, said.found()), (1, vec!["node-ports-ephemeral"]));
    scene.node.set_sysctl("net/ipv4/ip_local_reserved_ports", "30000-32767").unwrap();
    assert_eq!(scene.diagnosis(&[]).code, 0);
}
