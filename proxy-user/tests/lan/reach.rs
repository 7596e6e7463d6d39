//! Clients, nodes, and what lies beyond the router.

use super::{SECOND, both, ip, reaches, skipped};
use shunt::lab::{
    MtuProbe, Namespace, TcpServer, TcpSession, UdpAsker, UdpServer,
    lan::{Lan, Options, Overlay, RpFilter},
    probe_path_mtu, tcp_ask,
};
use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::Instant,
};

#[test]
fn it_is_made_in_a_moment() {
    if skipped() {
        return;
    }
    for overlay in [Overlay::Plain, Overlay::Vxlan] {
        let began = Instant::now();
        let lan = Lan::new(&Options { overlay, ..Options::default() }).unwrap();
        let made = began.elapsed();
        let began = Instant::now();
        let pods = [lan.node(0).add_pod("one").unwrap(), lan.node(1).add_pod("two").unwrap()];
        eprintln!("{overlay:?}: {made:?}, and {:?} for two pods", began.elapsed());
        assert!(made < SECOND * 2, "{made:?}");
        drop((pods, lan));
    }
}

#[test]
fn clients_reach_nodes_and_nodes_each_other() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options { nodes: 3, ..Options::default() }).unwrap();
    let another = lan.add_client("another").unwrap();
    assert_eq!(both(another.ipv4(), another.ipv6()), ["192.0.2.101", "2001:db8:1::101"].map(ip));
    for client in [lan.client(), &another, lan.wan().client()] {
        for node in lan.nodes() {
            for to in both(node.ipv4(), node.ipv6()) {
                reaches(client, client.ip_like(to), node, to);
                reaches(node, node.ip_like(to), client, client.ip_like(to));
            }
        }
    }
    let [first, .., last] = lan.nodes() else { panic!("three nodes") };
    assert_eq!(both(last.ipv4(), last.ipv6()), ["192.0.2.13", "2001:db8:1::13"].map(ip));
    for to in both(last.ipv4(), last.ipv6()) {
        reaches(first, first.ip_like(to), last, to);
    }
}

#[test]
fn no_route_leads_out() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options::default()).unwrap();
    let namespaces = [&**lan.node(0), lan.client(), lan.wan().client()];
    let outside = ["192.88.99.1:80", "[2001:db8:ffff::1]:80", "10.96.0.1:80", "[fd00:10:96::1]:80"];
    let dial = |namespace: &Namespace, outside: &str| {
        // Over IPv6 Linux believes the second error only, that about the SYN it sends after a second.
        let error = namespace.run(|| tcp_ask(outside.parse().unwrap(), SECOND * 3)).unwrap().unwrap_err();
        let refused = matches!(error.raw_os_error(), Some(libc::ENETUNREACH | libc::EHOSTUNREACH));
        assert!(refused, "{namespace} to {outside}: {error}");
    };
    thread::scope(|scope| {
        for namespace in namespaces {
            for outside in outside {
                scope.spawn(move || dial(namespace, outside));
            }
        }
    });
}

/// What the probe said; a router sends at most one ICMPv6 error a moment to anybody, so it is asked again.
fn too_big(client: &Namespace, to: SocketAddr, length: usize) -> u32 {
    let end = Instant::now() + SECOND * 5;
    loop {
        match client.run(|| probe_path_mtu(to, length, SECOND)).unwrap() {
            Ok(MtuProbe::TooBig(mtu)) => return mtu,
            Ok(MtuProbe::Fits(reply)) => panic!("{client} to {to}: {length} bytes arrived: {reply:?}"),
            Err(error) => assert!(Instant::now() < end, "{client} to {to}: {error}"),
        }
    }
}

#[test]
fn a_packet_that_the_wide_area_link_cannot_take_comes_back_as_an_error_from_either_side() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options::default()).unwrap();
    let (node, far) = (lan.node(0), lan.wan().client());
    let pod = node.add_pod("pod").unwrap();
    let in_pod = [pod.ipv4().into(), pod.ipv6().into()].map(|ip| SocketAddr::new(ip, 53));
    let out_there = [far.ipv4().into(), far.ipv6().into()].map(|ip| SocketAddr::new(ip, 53));
    for (network, prefix) in node.pod_networks() {
        lan.wan().router().add_route(network, prefix, Some(node.ip_like(network)), "eth0").unwrap();
    }
    let servers = in_pod.map(|address| UdpServer::start(&pod, "pod", address).unwrap());
    let far_servers = out_there.map(|address| UdpServer::start(far, "far", address).unwrap());
    let fits = |client: &Namespace, to, length| {
        let probe = client.run(|| probe_path_mtu(to, length, SECOND)).unwrap().unwrap();
        assert!(matches!(probe, MtuProbe::Fits(_)), "{client} to {to}: {length} bytes: {probe:?}");
    };
    for to in in_pod {
        fits(far, to, 1500);
        assert_eq!(too_big(far, to, 1501), 1500, "its own device's");
    }
    lan.wan().set_mtu(1400).unwrap();
    for (pod_address, far_address) in in_pod.into_iter().zip(out_there) {
        // The edge tells the client, the router tells the pod.
        assert_eq!(too_big(far, pod_address, 1500), 1400);
        assert_eq!(too_big(&pod, far_address, 1401), 1400);
        assert_eq!(too_big(node, far_address, 1500), 1400);
        fits(far, pod_address, 1400);
        fits(&pod, far_address, 1400);
    }
    assert!(servers.iter().chain(&far_servers).all(|server| server.served() > 0));
}

#[test]
fn large_datagrams_go_in_fragments_and_connections_stay_open() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options { overlay: Overlay::Vxlan, ..Options::default() }).unwrap();
    let pods = [lan.node(0).add_pod("one").unwrap(), lan.node(1).add_pod("two").unwrap()];
    for to in both(pods[1].ipv4(), pods[1].ipv6()) {
        let address = SocketAddr::new(to, 7);
        let udp = UdpServer::start_echo(&pods[1], "udp", address).unwrap();
        let tcp = TcpServer::start_echo(&pods[1], "tcp", address).unwrap();
        let ask = |length| {
            let ask = || {
                let asker = if to.is_ipv4() { UdpAsker::ipv4(SECOND) } else { UdpAsker::ipv6(SECOND) };
                asker?.ask_big(address, length)
            };
            pods[0].run(ask).unwrap()
        };
        // IPv6 does not count its header in the 65,535 bytes, IPv4 does.
        for length in [100, 1422, 1423, 9000, 65_507] {
            let reply = ask(length).unwrap_or_else(|error| panic!("{length} to {address}: {error}"));
            assert_eq!((reply.name.as_str(), reply.peer_name), ("udp", address));
            assert_eq!(reply.seen_client.ip(), pods[0].ip_like(to));
        }
        assert_eq!(udp.served(), 5);

        let mut session = pods[0].run(|| TcpSession::open(address, SECOND)).unwrap().unwrap();
        assert_eq!(session.reply().name, "tcp");
        assert_eq!(session.reply().seen_client, session.stream().local_addr().unwrap());
        session.exchange(b"still there?").unwrap();
        session.exchange(&vec![0x5a; 1 << 20]).unwrap();
        drop(tcp);
        session.exchange(b"still there?").unwrap_err();
    }
}

#[test]
fn reverse_path_filtering_is_as_chosen() {
    if skipped() {
        return;
    }
    for (rp_filter, passes) in [(RpFilter::Off, true), (RpFilter::Strict, false), (RpFilter::Loose, true)] {
        let lan = Lan::new(&Options { nodes: 1, rp_filter, ..Options::default() }).unwrap();
        let (node, client) = (lan.node(0), lan.client());
        let pod = node.add_pod("pod").unwrap();
        let server = UdpServer::start(node, "node", SocketAddr::new(node.ipv4().into(), 53)).unwrap();
        // A source address that the node routes to its bridge.
        let spoofed: IpAddr = "10.244.1.77".parse().unwrap();
        assert_ne!(spoofed, IpAddr::from(pod.ipv4()));
        client.add_address("eth0", spoofed, 32).unwrap();
        let send = |source| {
            let socket = UdpSocket::bind(SocketAddr::new(source, 0))?;
            socket.send_to(b"hello", server.address())
        };
        // What comes after it on the same wire has come through: so has it, or it never will. What comes
        // before finds out the hardware addresses, which nobody tells the spoofed one.
        let ask = || UdpAsker::ipv4(SECOND).unwrap().ask(server.address()).unwrap();
        client.run(ask).unwrap();
        client.run(|| send(spoofed)).unwrap().unwrap();
        client.run(ask).unwrap();
        let expected = if passes { 3 } else { 2 };
        assert_eq!(server.served(), expected, "{rp_filter:?}");
    }
}
