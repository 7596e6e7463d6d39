//! Connections that kube-proxy has begun go on when Shunt takes a node over, and after kube-proxy's rules are gone.
//! Needs root, and `nft` and `iptables-nft`.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;

use command::{Site, skipped};
use serde_json::{Value, json};
use shunt::lab::{
    TcpServer, TcpSession,
    lan::{Host, Lan, Node, Options, Pod},
    run, tcp_ask,
};
use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(3);
const NODE_PORT: u16 = 30_080;
const PORT: u16 = 8_080;
/// A ClusterIP of each family.
const CLUSTER_IPS: [&str; 2] = ["10.96.0.10", "fd00:10:96::10"];

/// The rules of kube-proxy's nftables mode for one Service with one endpoint, as far as they translate: `ip kube-proxy`
/// or `ip6 kube-proxy`.
fn kube_proxy_rules(family: &str, cluster_ip: &str, endpoint: SocketAddr) -> String {
    format!(
        "table {family} kube-proxy {{
            chain external {{ meta mark set mark or 0x4000; meta l4proto tcp dnat to {endpoint}; }}
            chain services {{
                {family} daddr {cluster_ip} tcp dport 80 dnat to {endpoint};
                fib daddr type local tcp dport {NODE_PORT} goto external;
            }}
            chain nat-prerouting {{ type nat hook prerouting priority dstnat; ct state new jump services; }}
            chain nat-output {{ type nat hook output priority -100; ct state new jump services; }}
            chain nat-postrouting {{
                type nat hook postrouting priority srcnat;
                mark & 0x4000 != 0 masquerade fully-random;
            }}
        }}\n"
    )
}

fn command_in(node: &Node, program: &str, args: &[&str]) {
    let output = run(node, Command::new(program).args(args), Duration::from_secs(10)).unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A Service of both families, served by one pod.
fn manifest(node: &Node, pod: &Pod) -> String {
    let slice = |family: &str, ip: IpAddr| {
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {"name": format!("web-{family}").to_lowercase(), "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"name": "http", "port": PORT}], "endpoints": [{"addresses": [ip], "nodeName": "lab-node"}]})
    };
    let addresses: Vec<Value> = [IpAddr::from(node.ipv4()), node.ipv6().into()]
        .iter()
        .map(|ip| json!({"type": "InternalIP", "address": ip}))
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"}, "status": {"addresses": addresses}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"type": "NodePort",
            "clusterIPs": CLUSTER_IPS, "ipFamilies": ["IPv4", "IPv6"],
            "ports": [{"name": "http", "port": 80, "nodePort": NODE_PORT}]}},
        slice("IPv4", pod.ipv4().into()), slice("IPv6", pod.ipv6().into()),
    ]})
    .to_string()
}

/// What a client outside dials: the ClusterIP and the NodePort of each family.
fn dialled(node: &Node) -> Vec<SocketAddr> {
    let node_ports = [IpAddr::from(node.ipv4()), node.ipv6().into()].map(|ip| SocketAddr::new(ip, NODE_PORT));
    let cluster_ips = CLUSTER_IPS.map(|ip| SocketAddr::new(ip.parse().unwrap(), 80));
    node_ports.into_iter().chain(cluster_ips).collect()
}

fn open(host: &Host, at: SocketAddr) -> TcpSession {
    host.run(|| TcpSession::open(at, PATIENCE)).unwrap().unwrap_or_else(|error| panic!("{at}: {error}"))
}

#[test]
fn connections_of_kube_proxys_go_on_and_new_ones_are_ours() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options { nodes: 1, ..Options::default() }).unwrap();
    let (node, client) = (lan.node(0), lan.client());
    let pods = ["old", "new"].map(|name| node.add_pod(name).unwrap());
    let servers: Vec<_> = ["old", "new"]
        .iter()
        .zip(&pods)
        .flat_map(|(name, pod)| [IpAddr::from(pod.ipv4()), pod.ipv6().into()].map(|ip| (*name, pod, ip)))
        .map(|(name, pod, ip)| TcpServer::start_echo(pod, name, SocketAddr::new(ip, PORT)).unwrap())
        .collect();
    for ip in CLUSTER_IPS {
        let ip: IpAddr = ip.parse().unwrap();
        let prefix = if ip.is_ipv4() { 32 } else { 128 };
        client.add_route(ip, prefix, Some(node.ip_like(ip)), client.device()).unwrap();
    }
    // As CNI plugins have it: with the last chain of type nat, or the last rule that asks for connection tracking, the
    // kernel stops translating what it remembers.
    for tool in ["iptables-nft", "ip6tables-nft"] {
        let masquerade =
            ["-t", "nat", "-A", "POSTROUTING", "-m", "mark", "--mark", "0x2000/0x2000", "-j", "MASQUERADE"];
        command_in(node, tool, &masquerade);
    }
    let site = Site::new();
    let rules = site.directory.path().join("rules.nft");
    let endpoint = |ip: IpAddr| SocketAddr::new(ip, PORT);
    let text = kube_proxy_rules("ip", CLUSTER_IPS[0], endpoint(pods[0].ipv4().into()))
        + &kube_proxy_rules("ip6", CLUSTER_IPS[1], endpoint(pods[0].ipv6().into()));
    std::fs::write(&rules, text).unwrap();
    command_in(node, "nft", &["-f", rules.to_str().unwrap()]);

    let mut sessions: Vec<_> = dialled(node).into_iter().map(|at| (at, open(client, at))).collect();
    let go_on = |sessions: &mut [(SocketAddr, TcpSession)], when: &str| {
        for (at, session) in sessions {
            assert_eq!(session.reply().name, "old");
            session.exchange(b"still there?").unwrap_or_else(|error| panic!("{at}, {when}: {error}"));
        }
    };
    go_on(&mut sessions, "before");

    site.save("web.json", &manifest(node, &pods[1]));
    let mut command = site.run(&site.manifests(), &["--interfaces", "eth0"]);
    node.enter_command(&mut command);
    let mut agent = site.start_command(command);
    agent.wait_for("kube-proxy is on this node too");
    let ours = |when: &str| {
        for at in dialled(node) {
            let reply = client.run(|| tcp_ask(at, PATIENCE)).unwrap();
            let reply = reply.unwrap_or_else(|error| panic!("{at}, {when}: {error}"));
            assert_eq!(reply.name, "new", "{at}, {when}");
        }
    };
    go_on(&mut sessions, "with Shunt");
    ours("with Shunt");
    for family in ["ip", "ip6"] {
        command_in(node, "nft", &["delete", "table", family, "kube-proxy"]);
    }
    go_on(&mut sessions, "without kube-proxy's rules");
    ours("without kube-proxy's rules");

    // An agent that is replaced meanwhile goes on with it.
    assert!(agent.stop().success());
    go_on(&mut sessions, "without an agent");
    let mut command = site.run(&site.manifests(), &["--interfaces", "eth0"]);
    node.enter_command(&mut command);
    let agent = site.start_command(command);
    go_on(&mut sessions, "with the next agent");
    ours("with the next agent");
    drop(agent);
    drop(sessions);
    drop(servers);
    node.run(|| shunt::kernel::remove(&site.bpffs.path().join("shunt")).unwrap()).unwrap();
}
