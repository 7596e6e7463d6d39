//! Traffic that is no Service's.

use crate::{
    ask::{PATIENCE, PROTOCOLS, SILENCE, Seen, assert_all_answer, assert_answers},
    frame::{Packet, ip_like, is_from_to},
    service::{ENDPOINT_PORT, KINDS, address, ready, service},
    stage::{Setup, Stage},
};
use proxy_common::abi::Counter;
use shunt::{
    lab::{Namespace, TcpServer, TcpSession, ping},
    model::Family,
};
use std::net::{IpAddr, SocketAddr};

/// Protocol and payload of packets that hosts send, right or wrong: of TCP to this port, of UDP to 30001.
fn payloads(v4: bool, port: u8) -> Vec<(&'static str, u8, Vec<u8>)> {
    // A SYN with the options that Linux sends, and with a checksum that is wrong.
    let mut tcp = *b"\x9c\x40\x00\x50\x01\x02\x03\x04\0\0\0\0\xa0\x02\xfa\xf0\xde\xad\0\0\
                \x02\x04\x05\xb4\x04\x02\x08\x0a\x01\x02\x03\x04\0\0\0\0\x01\x03\x03\x07";
    tcp[3] = port;
    let udp = b"\x9c\x40\x75\x31\0\x0c\0\0data";
    let mut all: Vec<(&str, u8, Vec<u8>)> = vec![
        ("TCP SYN", 6, tcp.to_vec()),
        ("TCP, cut short", 6, tcp[..10].to_vec()),
        ("UDP without a checksum", 17, udp.to_vec()),
        ("UDP, cut short", 17, udp[..3].to_vec()),
        ("SCTP INIT", 132, b"\x9c\x40\x00\x50\0\0\0\0\xde\xad\xbe\xef\x01\0\0\x14\x01\x02\x03\x04\0\0\xfa\xf0\0\x01\0\x01\0\0\0\0".to_vec()),
        ("GRE", 47, b"\0\0\x08\0E\0\0\x14".to_vec()),
        ("an unknown protocol", 253, b"anything".to_vec()),
        ("nothing", 253, Vec::new()),
    ];
    if v4 {
        all.push(("ICMP echo", 1, b"\x08\0\xde\xad\0\x01\0\x01ping".to_vec()));
        all.push((
            "ICMP error",
            1,
            [b"\x03\x03\xde\xad\0\0\0\0E\0\0\x20\0\0\0\0\x40\x11\0\0\xc0\0\x02\xc8\xc0\0\x02\xc9", &udp[..]]
                .concat(),
        ));
    } else {
        all.push(("ICMPv6 echo", 58, b"\x80\0\xde\xad\0\x01\0\x01ping".to_vec()));
        all.push(("no next header", 59, b"rest".to_vec()));
        all.push(("destination options, UDP", 60, [b"\x11\0\x01\x04\0\0\0\0", &udp[..]].concat()));
        all.push(("a first fragment", 44, [b"\x11\0\0\x01\0\0\x12\x34", &udp[..]].concat()));
        all.push(("a later fragment", 44, b"\x11\0\0\x08\0\0\x12\x34rest".to_vec()));
        all.push(("hop-by-hop options, TCP", 0, [b"\x06\0\x01\x04\0\0\0\0", &tcp[..]].concat()));
        all.push((
            "a routing header, UDP",
            43,
            [b"\x11\x02\x04\0\0\0\0\0\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", &udp[..]].concat(),
        ));
    }
    all
}

#[test]
fn packets_of_no_service_are_forwarded_bit_by_bit() {
    for clsact in [false, true] {
        let Some(mut stage) = Stage::new(&Setup { clsact, ..Setup::default() }) else { return };
        let pod = stage.pod(0, "pod");
        stage.serve(&service(1), &ready(&[&pod]));
        let [from, to] = [0, 1].map(|_| stage.lan().add_frames().unwrap());
        let node = stage.node().mac("eth0").unwrap();
        let before = Counter::ALL.map(|counter| stage.counter(counter));
        // To a host, and to the load-balancer and external addresses of a Service at ports that it does not serve.
        for family in Family::BOTH {
            let host = ip_like(&to, address(96, 1, family));
            let vips = [address(97, 1, family), address(98, 1, family)];
            for vip in vips {
                let prefix = if vip.is_ipv4() { 32 } else { 128 };
                stage.node().add_route(vip, prefix, Some(host), "eth0").unwrap();
            }
            // Port 80 is the Service's at its own addresses.
            for (ip, (what, protocol, payload)) in [(host, 80), (vips[0], 81), (vips[1], 81)]
                .into_iter()
                .flat_map(|(ip, port)| payloads(ip.is_ipv4(), port).into_iter().map(move |p| (ip, p)))
            {
                for (options, fragment) in [(0, 0x4000), (0, 0x2000), (0, 0x0010), (5, 0)] {
                    if family == Family::V6 && fragment != 0x4000 {
                        continue;
                    }
                    let packet = Packet {
                        from: ip_like(&from, ip),
                        to: ip,
                        protocol,
                        options,
                        fragment,
                        payload: &payload,
                    };
                    from.send(&packet.frame(from.mac(), node, 64)).unwrap();
                    let wanted = |frame: &[u8]| is_from_to(frame, packet.from, packet.to);
                    let received = to.receive(PATIENCE, wanted).unwrap();
                    assert_eq!(
                        received,
                        Some(packet.frame(node, to.mac(), 63)),
                        "{what} to {ip}, {fragment:#x}"
                    );
                }
            }
        }
        assert_eq!(
            to.receive(SILENCE / 10, |frame| is_from_to(frame, from.ipv4().into(), to.ipv4().into()))
                .unwrap(),
            None
        );
        assert_eq!(Counter::ALL.map(|counter| stage.counter(counter)), before, "nothing was decided");
        drop(pod);
        stage.assert_nothing_left();
    }
}

#[test]
fn ordinary_connections_are_left_alone() {
    let Some(mut stage) = Stage::new(&Setup { pods: true, ..Setup::default() }) else { return };
    let (one, two) = (stage.pod(0, "one"), stage.pod(0, "two"));
    let (routed, far) = (stage.routed_pod(0, "routed"), stage.pod(1, "far"));
    stage.serve(&service(1), &ready(&[&one, &routed, &far]));
    // One that is there when Services come and go, as that of an administrator.
    let ssh = Family::BOTH.map(|family| {
        let at = SocketAddr::new(stage.node().ip_like(one.ip(family)), 22);
        TcpServer::start_echo(stage.node(), "sshd", at).unwrap()
    });
    let open = |server: &TcpServer| {
        let session = stage.client().run(|| TcpSession::open(server.address(), PATIENCE)).unwrap().unwrap();
        assert_eq!(session.reply().seen_client, session.reply().local);
        session
    };
    let mut sessions = ssh.each_ref().map(open);
    let client: &Namespace = stage.client();
    for pod in [&one, &two, &routed] {
        for ip in Family::BOTH.map(|family| pod.ip(family)) {
            let prefix = if ip.is_ipv4() { 32 } else { 128 };
            let node = stage.node().ip_like(ip);
            client.add_route(ip, prefix, Some(node), "eth0").unwrap();
            stage.lan().wan().router().add_route(ip, prefix, Some(node), "eth0").unwrap();
        }
    }
    let outside = Family::BOTH.map(|family| {
        let at = SocketAddr::new(stage.client().ip_like(one.ip(family)), ENDPOINT_PORT);
        (
            TcpServer::start(client, "outside", at).unwrap(),
            shunt::lab::UdpServer::start(client, "outside", at).unwrap(),
        )
    });
    let ((), counted) = stage.counted(Counter::ALL, || {
        for (family, protocol) in Family::BOTH.into_iter().flat_map(|family| PROTOCOLS.map(|p| (family, p))) {
            let at = |ip: IpAddr| SocketAddr::new(ip, ENDPOINT_PORT);
            // Pod to pod, on a bridge, between devices and between nodes; outside to pod; node to pod.
            for (from, to) in [(&one, &two), (&one, &routed), (&routed, &one), (&one, &far), (&far, &routed)]
            {
                assert_answers(from.place(), protocol, at(to.ip(family)), to.name(), Seen::Client);
            }
            for to in [&one, &routed] {
                assert_answers(client, protocol, at(to.ip(family)), to.name(), Seen::Client);
                assert_answers(stage.node(), protocol, at(to.ip(family)), to.name(), Seen::Client);
                // Pod to outside.
                let client = at(stage.client().ip_like(to.ip(family)));
                assert_answers(to.place(), protocol, client, "outside", Seen::Client);
            }
        }
        for ip in [stage.node().ip_like(one.ip(Family::V4)), stage.node().ip_like(one.ip(Family::V6))] {
            client.run(|| ping(ip, PATIENCE)).unwrap().unwrap();
        }
        sessions.iter_mut().for_each(|session| session.exchange(&[22; 200_000]).unwrap());
    });
    assert_eq!(counted, [0; Counter::COUNT], "nothing was decided");
    // And beside all that the Service answers.
    stage.serve(&service(1), &ready(&[&one]));
    assert_all_answer(&**stage.client(), &stage.dials(1, &KINDS), "one", Seen::Client);
    sessions.iter_mut().for_each(|session| session.exchange(b"still here").unwrap());
    drop((sessions, ssh, outside, one, two, routed, far));
    stage.assert_nothing_left();
}
