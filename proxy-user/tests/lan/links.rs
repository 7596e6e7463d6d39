//! The other kinds of links: VLAN, tunnels without a link header, and frames made by hand.

use super::{SECOND, both, reaches, skipped};
use shunt::lab::{
    Namespace, UdpServer,
    lan::{Frames, Lan, Options},
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[test]
fn a_client_in_a_vlan_reaches_the_nodes() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options::default()).unwrap();
    let client = match lan.add_vlan(100) {
        Err(error) if error.is_unsupported() => return eprintln!("not run: this kernel has no VLAN devices"),
        other => other.unwrap(),
    };
    assert_eq!(client.device(), "eth0.100");
    for to in ["198.18.0.11", "2001:db8:18::11", "198.18.0.12", "2001:db8:18::12"] {
        let to: IpAddr = to.parse().unwrap();
        let node = lan.node(usize::from(to.to_string().ends_with('2')));
        reaches(&client, client.ip_like(to), node, to);
    }
}

#[test]
fn a_client_behind_a_tunnel_reaches_node_and_pod_by_packets_without_a_link_header() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options::default()).unwrap();
    let tunnels = [lan.add_tunnel(0, "wg0").unwrap(), lan.add_tunnel(1, "wg0").unwrap()];
    for (tunnel, node) in tunnels.iter().zip(lan.nodes()) {
        let kind = node.run(|| std::fs::read_to_string("/proc/thread-self/net/dev_mcast")).unwrap().unwrap();
        assert!(!kind.contains("wg0"), "a device with hardware addresses: {kind}");
        let pod = node.add_pod("pod").unwrap();
        let client = tunnel.client();
        for to in
            both(tunnel.node_ipv4(), tunnel.node_ipv6()).into_iter().chain(both(node.ipv4(), node.ipv6()))
        {
            reaches(client, client.ip_like(to), node, to);
        }
        for to in both(pod.ipv4(), pod.ipv6()) {
            reaches(client, client.ip_like(to), &pod, to);
            reaches(&pod, to, client, client.ip_like(to));
        }
    }
    assert_eq!(tunnels[1].client().ipv6().to_string(), "2001:db8:18:2::100");
    let [gone, _] = tunnels;
    drop(gone);
    assert!(lan.node(0).device_index("wg0").is_err());
    assert!(lan.node(1).device_index("wg0").is_ok());
}

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];

/// An Ethernet frame: addresses, then whatever there is.
fn frame(to: [u8; 6], from: &Frames, rest: &[&[u8]]) -> Vec<u8> {
    [&to[..], &from.mac(), &rest.concat()].concat()
}

/// An IPv4 packet of UDP, which has no checksum (RFC 768 allows zero).
fn udp(from: Ipv4Addr, to: Ipv4Addr, port: u16, data: &[u8]) -> Vec<u8> {
    let udp_length = u16::try_from(8 + data.len()).unwrap();
    let mut header = [
        &[0x45, 0][..],
        &(20 + udp_length).to_be_bytes(),
        &[0, 1, 0, 0, 64, 17, 0, 0],
        &from.octets(),
        &to.octets(),
    ]
    .concat();
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let ports = [4000_u16.to_be_bytes(), port.to_be_bytes(), udp_length.to_be_bytes(), [0, 0]].concat();
    [&header, &ports, data].concat()
}

#[test]
fn frames_made_by_hand_cross_the_switch_as_they_are() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options::default()).unwrap();
    let (one, two) = (lan.add_frames().unwrap(), lan.add_frames().unwrap());
    let node = lan.node(0);
    let server = UdpServer::start(node, "node", SocketAddr::new(node.ipv4().into(), 53)).unwrap();

    let question = udp(one.ipv4(), node.ipv4(), 53, b"who?");
    one.send(&frame(node.mac("eth0").unwrap(), &one, &[&ETHERTYPE_IPV4, &question])).unwrap();
    let answer = one.receive(SECOND, |frame| frame.get(12..14) == Some(&ETHERTYPE_IPV4)).unwrap().unwrap();
    assert_eq!((&answer[..6], &answer[6..12]), (&one.mac()[..], &node.mac("eth0").unwrap()[..]));
    let text = format!("node {}:4000\n", one.ipv4());
    assert!(answer.ends_with(text.as_bytes()), "{answer:?}");
    assert_eq!(server.served(), 1);

    // Priority 3, VLAN 100.
    let tagged = frame(two.mac(), &one, &[&[0x81, 0, 0x60, 100], &ETHERTYPE_IPV4, &question]);
    one.send(&tagged).unwrap();
    let seen = two.receive(SECOND, |frame| frame.get(6..12) == Some(&one.mac())).unwrap();
    assert_eq!(seen.as_deref(), Some(&tagged[..]));
    let nothing = two.receive(SECOND / 10, |frame| frame.get(6..12) == Some(&one.mac())).unwrap();
    assert_eq!(nothing, None);
    assert!(one.send(&[0; 5]).is_err());
}

#[test]
fn offload_is_as_chosen_on_every_device_that_sends() {
    if skipped() {
        return;
    }
    for offload in [false, true] {
        let lan = Lan::new(&Options { offload, ..Options::default() }).unwrap();
        let node = lan.node(0);
        let pods = [node.add_pod("pod").unwrap(), node.add_routed_pod("routed").unwrap()];
        let another = lan.add_client("another").unwrap();
        let mut devices: Vec<(&Namespace, &str)> =
            vec![(node, "eth0"), (lan.client(), "eth0"), (&another, "eth0"), (lan.wan().client(), "eth0")];
        for pod in &pods {
            devices.extend([(&**pod, pod.device()), (node, pod.node_device())]);
        }
        for (namespace, device) in devices {
            assert_eq!(namespace.has_checksum_offload(device).unwrap(), offload, "{namespace} {device}");
        }
    }
}

#[test]
fn a_wrong_checksum_is_found_out() {
    if skipped() {
        return;
    }
    let lan = Lan::new(&Options::default()).unwrap();
    let (raw, node) = (lan.add_frames().unwrap(), lan.node(0));
    let server = UdpServer::start(node, "node", SocketAddr::new(node.ipv4().into(), 53)).unwrap();
    let mac = node.mac("eth0").unwrap();
    let good = udp(raw.ipv4(), node.ipv4(), 53, b"who?");
    let mut bad = good.clone();
    bad[26..28].copy_from_slice(&[0xba, 0xd0]);
    for question in [&bad, &good] {
        raw.send(&frame(mac, &raw, &[&ETHERTYPE_IPV4, question])).unwrap();
    }
    raw.receive(SECOND, |frame| frame.get(12..14) == Some(&ETHERTYPE_IPV4)).unwrap().unwrap();
    assert_eq!(server.served(), 1);
}
