//! The local network of the laboratory, without Shunt: who reaches whom, by which way, and that nothing of
//! it stays. Needs root; says why it did not run elsewhere, and fails instead if SHUNT_REQUIRE_LAB is set.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in #[test] functions, but not in their helpers
#![cfg(feature = "lab")]

use shunt::lab::{
    self, Namespace, TcpServer, UdpServer,
    lan::{Lan, Options, Overlay, Pod},
    tcp_ask, udp_ask_connected,
};
use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// Leaves the test where no lab can be made.
macro_rules! need_lab {
    () => {
        if let Err(why) = lab::available() {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{why}");
            eprintln!("not run: {why}");
            return;
        }
    };
}

fn both(ipv4: impl Into<IpAddr>, ipv6: impl Into<IpAddr>) -> [IpAddr; 2] {
    [ipv4.into(), ipv6.into()]
}

/// Asks by TCP and UDP; the server must see the client under its own address.
fn reaches(client: &Namespace, from: IpAddr, server: &Namespace, to: IpAddr) {
    let address = SocketAddr::new(to, 8080);
    let _tcp = TcpServer::start(server, server.label(), address).unwrap();
    let _udp = UdpServer::start(server, server.label(), address).unwrap();
    let (tcp, udp) = client.run(|| (tcp_ask(address, SECOND), udp_ask_connected(address, SECOND))).unwrap();
    for reply in [tcp, udp] {
        let reply = reply.unwrap_or_else(|error| panic!("{client} to {server} {to}: {error}"));
        assert_eq!((reply.name.as_str(), reply.peer_name), (server.label(), address));
        assert_eq!(reply.seen_client, reply.local, "{client} to {server}: no address was changed");
        assert_eq!(reply.local.ip(), from);
    }
}

fn pod_reaches(client: &Pod, server: &Pod) {
    for to in both(server.ipv4(), server.ipv6()) {
        reaches(client, client.ip_like(to), server, to);
    }
}

#[test]
fn it_is_made_fast() {
    need_lab!();
    for overlay in [Overlay::Plain, Overlay::Vxlan] {
        let began = Instant::now();
        let lan = Lan::new(&Options { overlay, ..Options::default() }).unwrap();
        let made = began.elapsed();
        let began = Instant::now();
        let pods = [lan.node(0).add_pod("one").unwrap(), lan.node(1).add_pod("two").unwrap()];
        eprintln!("{overlay:?}: {made:?}, and {:?} for two pods", began.elapsed());
        assert!(made < SECOND, "{made:?}");
        drop((pods, lan));
    }
}

#[test]
fn clients_reach_nodes_and_nodes_each_other() {
    need_lab!();
    let lan = Lan::new(&Options::default()).unwrap();
    let (client, far) = (lan.client(), lan.wan().client());
    for node in lan.nodes() {
        for to in both(node.ipv4(), node.ipv6()) {
            reaches(client, client.ip_like(to), node, to);
            reaches(far, far.ip_like(to), node, to);
        }
    }
    for to in both(lan.node(1).ipv4(), lan.node(1).ipv6()) {
        reaches(lan.node(0), lan.node(0).ip_like(to), lan.node(1), to);
    }
}

#[test]
fn pods_reach_each_other_over_every_kind_of_link() {
    need_lab!();
    for overlay in [Overlay::Plain, Overlay::Vxlan] {
        let lan = Lan::new(&Options { overlay, ..Options::default() }).unwrap();
        let mut pods = Vec::new();
        for node in lan.nodes() {
            pods.push(node.add_pod(&format!("{} a", node.name()).replace(' ', "-")).unwrap());
            pods.push(node.add_pod(&format!("{}-b", node.name())).unwrap());
            pods.push(node.add_routed_pod(&format!("{}-c", node.name())).unwrap());
        }
        for (from, client) in pods.iter().enumerate() {
            for (_, server) in pods.iter().enumerate().filter(|(to, _)| *to != from) {
                pod_reaches(client, server);
            }
        }
    }
}
