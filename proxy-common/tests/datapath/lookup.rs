//! What an address, port and protocol is to the node.

use crate::fake::{Fake, NODE, POD, Socket, ip, peer};
use proxy_common::{
    abi::{FrontendFlags, FrontendValue, Network, NodeFlags, TCP, UDP},
    datapath::{Lookup, Origin, find_frontend},
};

/// What a row of a table expects: a kind of frontend and its service port, or what else it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Is {
    Frontend(FrontendFlags, u32),
    NotAService,
    UnknownPort,
    Unallocated,
}

const WEB: u32 = 0;
const WEB6: u32 = 1;
const OTHER: u32 = 2;

const WEB_CLUSTER_IP: Is = Is::Frontend(FrontendFlags::CLUSTER_IP, WEB);
const WEB_NODE_PORT: Is = Is::Frontend(FrontendFlags::NODE_PORT, WEB);
const WEB6_NODE_PORT: Is = Is::Frontend(FrontendFlags::NODE_PORT, WEB6);
const OTHER_LOAD_BALANCER: Is = Is::Frontend(FrontendFlags::LOAD_BALANCER, OTHER);

const OUTSIDE: Socket = Socket { origin: Origin::Outside, namespace: 0 };

/// A dual-stack node (192.0.2.1 and 2001:db8::1) with a dual-stack NodePort Service, and another whose
/// load-balancer address is the node's own and whose port is that NodePort.
fn node() -> Fake {
    let mut fake = Fake {
        node: NodeFlags::SERVICE_CIDRS.union(NodeFlags::LOCALHOST_V4).union(NodeFlags::LOCALHOST_V6),
        ..Fake::default()
    };
    fake.serve("10.96.0.10:80", TCP, &["10.1.0.1:8080"], &[]);
    fake.serve("[fd00:96::10]:80", TCP, &["[fd01::1]:8080"], &[]);
    fake.serve("10.96.0.11:80", TCP, &["10.1.0.2:8080"], &[]);
    for (service, address) in [(WEB, "0.0.0.0:30080"), (WEB6, "[::]:30080")] {
        fake.frontend(service, FrontendFlags::NODE_PORT, address, TCP);
    }
    fake.frontend(OTHER, FrontendFlags::LOAD_BALANCER, "192.0.2.2:30080", TCP);
    fake.frontend(OTHER, FrontendFlags::EXTERNAL_IP, "198.51.100.1:80", TCP);
    for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        fake.node_address(address);
    }
    for (address, network) in
        [("10.96.0.200", Network::Services), ("fd00:96::ff", Network::Services), ("10.1.0.9", Network::Pods)]
    {
        fake.networks.insert(ip(address), network as u32);
    }
    fake
}

fn find(fake: &Fake, client: &Socket, address: &str, protocol: u8) -> Is {
    match find_frontend(fake, client, &peer(address), protocol) {
        Lookup::Frontend(frontend) => Is::Frontend(frontend.kind(), frontend.service),
        Lookup::NotAService => Is::NotAService,
        Lookup::UnknownPort => Is::UnknownPort,
        Lookup::Unallocated => Is::Unallocated,
    }
}

#[test]
fn an_address_is_the_same_to_whoever_dials_it() {
    let cases = [
        ("10.96.0.10:80", TCP, WEB_CLUSTER_IP),
        ("[::ffff:10.96.0.10]:80", TCP, WEB_CLUSTER_IP),
        // A ClusterIP belongs to its Service whole: no other port, no other protocol, no NodePort.
        ("10.96.0.10:443", TCP, Is::UnknownPort),
        ("10.96.0.10:80", UDP, Is::UnknownPort),
        ("10.96.0.10:30080", TCP, Is::UnknownPort),
        ("[fd00:96::10]:81", TCP, Is::UnknownPort),
        // A NodePort answers on every address of this node, for its own protocol and no other port.
        ("192.0.2.1:30080", TCP, WEB_NODE_PORT),
        ("[::ffff:192.0.2.1]:30080", TCP, WEB_NODE_PORT),
        ("[2001:db8::1]:30080", TCP, WEB6_NODE_PORT),
        ("192.0.2.1:30080", UDP, Is::NotAService),
        ("192.0.2.1:22", TCP, Is::NotAService),
        ("[2001:db8::1]:22", TCP, Is::NotAService),
        // An exact frontend on an address of the node comes before the NodePort there.
        ("192.0.2.2:30080", TCP, OTHER_LOAD_BALANCER),
        // Another node's address is foreign, whatever this node would do with the port.
        ("192.0.2.3:30080", TCP, Is::NotAService),
        ("[2001:db8::2]:30080", TCP, Is::NotAService),
        // External addresses are not owned: what no service port serves there is nobody's business.
        ("198.51.100.1:80", TCP, Is::Frontend(FrontendFlags::EXTERNAL_IP, OTHER)),
        ("198.51.100.1:443", TCP, Is::NotAService),
        ("198.51.100.1:30080", TCP, Is::NotAService),
        // An address of a ServiceCIDR that no Service has is nobody's; other networks are foreign.
        ("10.96.0.200:80", TCP, Is::Unallocated),
        ("[fd00:96::ff]:80", UDP, Is::Unallocated),
        ("10.1.0.9:80", TCP, Is::NotAService),
        ("203.0.113.9:80", TCP, Is::NotAService),
        ("[2001:db8:9::9]:80", TCP, Is::NotAService),
    ];
    for client in [POD, NODE, OUTSIDE] {
        for (address, protocol, expected) in cases {
            let found = find(&node(), &client, address, protocol);
            assert_eq!(found, expected, "{address} {protocol} from {:?}", client.origin);
        }
    }
}

#[test]
fn a_loopback_address_has_node_ports_in_the_nodes_namespace_and_no_other() {
    // 0.0.0.0 and :: are what connect() takes for the loopback address.
    let v4 = ["127.0.0.1", "127.9.8.7", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"];
    let v6 = ["[::1]", "[::]"];
    let both = v4.map(|a| (a, WEB_NODE_PORT)).into_iter().chain(v6.map(|a| (a, WEB6_NODE_PORT)));
    for (address, node_port) in both {
        let dialled = format!("{address}:30080");
        assert_eq!(find(&node(), &NODE, &dialled, TCP), node_port, "{dialled}");
        for stranger in [POD, OUTSIDE] {
            assert_eq!(find(&node(), &stranger, &dialled, TCP), Is::NotAService, "{dialled}");
        }
        // The node's own servers are left alone.
        assert_eq!(find(&node(), &NODE, &format!("{address}:80"), TCP), Is::NotAService, "{address}");
        assert_eq!(find(&node(), &NODE, &dialled, UDP), Is::NotAService, "{address}");
    }
}

#[test]
fn node_ports_answer_on_loopback_where_that_is_switched_on_for_the_family() {
    for (flags, v4, v6) in [
        (NodeFlags::default(), Is::NotAService, Is::NotAService),
        (NodeFlags::LOCALHOST_V4, WEB_NODE_PORT, Is::NotAService),
        (NodeFlags::LOCALHOST_V6, Is::NotAService, WEB6_NODE_PORT),
    ] {
        let fake = Fake { node: flags, ..node() };
        assert_eq!(find(&fake, &NODE, "127.0.0.1:30080", TCP), v4, "{flags:?}");
        assert_eq!(find(&fake, &NODE, "[::ffff:127.0.0.1]:30080", TCP), v4, "{flags:?}");
        assert_eq!(find(&fake, &NODE, "[::1]:30080", TCP), v6, "{flags:?}");
        // The node's other addresses are not asked.
        assert_eq!(find(&fake, &NODE, "192.0.2.1:30080", TCP), WEB_NODE_PORT, "{flags:?}");
    }
}

#[test]
fn nobody_looks_for_service_cidrs_where_none_are_known() {
    let fake = Fake { node: NodeFlags::LOCALHOST_V4, ..node() };
    assert_eq!(find(&fake, &POD, "10.96.0.200:80", TCP), Is::NotAService);
}

#[test]
fn a_value_that_another_key_was_given_meanwhile_is_looked_up_again() {
    let foreign = FrontendValue::new(OTHER, FrontendFlags::CLUSTER_IP, 0xdead_beef);
    for address in ["10.96.0.10:80", "10.96.0.10:443", "192.0.2.1:30080", "127.0.0.1:30080", "203.0.113.9:80"]
    {
        let fake = node();
        let expected = find(&fake, &NODE, address, TCP);
        fake.given_away.set(Some(foreign));
        assert_eq!(find(&fake, &NODE, address, TCP), expected, "{address}");
        assert_eq!(fake.given_away.take(), None, "it was met");
    }
}
