//! Which ports a process of the node may bind.

use crate::fake::{Fake, peer};
use proxy_common::{
    abi::{FrontendFlags, NodeFlags, TCP, UDP},
    datapath::may_bind,
};

/// NodePort 30080 by TCP of both families and 30053 by UDP of IPv4, answered on one address of each.
fn node(flags: NodeFlags) -> Fake {
    let mut fake = Fake { node: flags, ..Fake::default() };
    for (cluster_ip, protocol, node_port) in [
        ("10.96.0.10:80", TCP, "0.0.0.0:30080"),
        ("[fd00:96::10]:80", TCP, "[::]:30080"),
        ("10.96.0.53:53", UDP, "0.0.0.0:30053"),
    ] {
        let service = fake.serve(cluster_ip, protocol, &[], &[]);
        fake.frontend(service, FrontendFlags::NODE_PORT, node_port, protocol);
    }
    for address in ["192.0.2.1", "2001:db8::1"] {
        fake.node_address(address);
    }
    fake
}

#[test]
fn a_node_port_is_taken_where_it_answers_and_nowhere_else() {
    let fake = node(NodeFlags::LOCALHOST_V4);
    for (taken, protocol, addresses) in [
        (true, TCP, &["0.0.0.0:30080", "[::]:30080", "192.0.2.1:30080", "[2001:db8::1]:30080"][..]),
        (
            true,
            TCP,
            &["127.0.0.1:30080", "127.0.0.9:30080", "[::ffff:192.0.2.1]:30080", "[::ffff:0.0.0.0]:30080"],
        ),
        // Another address of the node, a loopback address without NodePorts, a ClusterIP that somebody has bound.
        (false, TCP, &["192.0.2.2:30080", "[2001:db8::2]:30080", "[::1]:30080", "10.96.0.10:30080"]),
        // Another port, or another protocol.
        (false, TCP, &["0.0.0.0:30081", "[::]:80", "192.0.2.1:80", "0.0.0.0:30053"]),
        (false, UDP, &["0.0.0.0:30080", "[::]:30080"]),
        // It may serve IPv4 too.
        (true, UDP, &["0.0.0.0:30053", "[::]:30053", "192.0.2.1:30053"]),
        (false, UDP, &["[2001:db8::1]:30053", "[::1]:30053"]),
    ] {
        for address in addresses {
            assert_eq!(may_bind(&fake, &peer(address), protocol), !taken, "{address} by {protocol}");
        }
    }
}

#[test]
fn loopback_addresses_are_free_where_node_ports_do_not_answer_on_them() {
    for (flags, v4, v6) in [
        (NodeFlags::default(), true, true),
        (NodeFlags::LOCALHOST_V4, false, true),
        (NodeFlags::LOCALHOST_V6, true, false),
    ] {
        let fake = node(flags);
        let free = |address| may_bind(&fake, &peer(address), TCP);
        assert_eq!((free("127.0.0.1:30080"), free("[::1]:30080")), (v4, v6), "{flags:?}");
        assert!(!free("0.0.0.0:30080") && !free("[::]:30080"));
    }
}
