//! What nf_conntrack translates besides Services goes on beside Shunt: hostPorts, and pods that a network plug-in
//! masquerades. Needs root and `nft`.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;

use command::{Site, skipped};
use serde_json::json;
use shunt::lab::{
    TcpServer, TcpSession,
    lan::{Lan, Options},
    run,
};
use std::{net::SocketAddr, process::Command, time::Duration};

const PATIENCE: Duration = Duration::from_secs(3);
/// Below ip_local_port_range, where `--snat-ports` is by default.
const HOST_PORT: u16 = 8_443;
const PORT: u16 = 8_080;

#[test]
fn a_host_port_and_a_masqueraded_pod_are_left_to_the_kernel() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options { nodes: 1, ..Options::default() }).unwrap();
    let (node, client) = (lan.node(0), lan.client());
    let pod = node.add_pod("web").unwrap();
    let here = SocketAddr::from((pod.ipv4(), PORT));
    let there = SocketAddr::from((client.ipv4(), PORT));
    let _servers = [
        TcpServer::start_echo(&pod, "pod", here).unwrap(),
        TcpServer::start_echo(client, "outside", there).unwrap(),
    ];
    let site = Site::new();
    let rules = site.directory.path().join("rules.nft");
    // A plug-in's `--random-fully` may take any port; here one that could be ours, each time.
    let text = format!(
        "table ip plugin {{
            chain pre {{ type nat hook prerouting priority dstnat; fib daddr type local tcp dport {HOST_PORT} dnat to {here}; }}
            chain post {{ type nat hook postrouting priority srcnat; ip saddr {} meta l4proto tcp masquerade to :2000-2999 random; }}
        }}\n",
        pod.ipv4()
    );
    std::fs::write(&rules, text).unwrap();
    let nft = ["-f", rules.to_str().unwrap()];
    let output = run(node, Command::new("nft").args(nft), Duration::from_secs(10)).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let try_both = |when: &str| {
        let host_port = SocketAddr::from((node.ipv4(), HOST_PORT));
        let mut session = client
            .run(|| TcpSession::open(host_port, PATIENCE))
            .unwrap()
            .unwrap_or_else(|error| panic!("hostPort, {when}: {error}"));
        session.exchange(b"hello").unwrap_or_else(|error| panic!("hostPort, {when}: {error}"));
        let mut session = pod
            .run(|| TcpSession::open(there, PATIENCE))
            .unwrap()
            .unwrap_or_else(|error| panic!("from the pod, {when}: {error}"));
        session.exchange(b"hello").unwrap_or_else(|error| panic!("from the pod, {when}: {error}"));
    };
    try_both("without Shunt");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"},
            "status": {"addresses": [{"type": "InternalIP", "address": node.ipv4()}]}}]});
    site.save("node.json", &list.to_string());
    let mut command = site.run(&site.manifests(), &["--interfaces", "eth0"]);
    node.enter_command(&mut command);
    let agent = site.start_command(command);
    try_both("with Shunt");
    drop(agent);
    node.run(|| shunt::kernel::remove(&site.bpffs.path().join("shunt")).unwrap()).unwrap();
}
