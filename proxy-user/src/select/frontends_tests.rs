//! Frontends as tables: a Service in few words, and what clients may dial.

use super::*;
use crate::model::{ObjectName, Protocol};
use ServiceType::{ClusterIp, ExternalName, LoadBalancer, NodePort};

const V4: &str = "10.96.0.10";
const V6: &str = "fd00:96::a";

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn service(kind: ServiceType, cluster_ips: &[&str]) -> Service {
    Service { kind, ..Service::cluster_ip(ObjectName::new("shop", "web"), ips(cluster_ips)) }
}

/// Frontends of port 80 with node port 30080, as `KIND ADDRESS:PORT`, in the order of the lists.
fn select(service: &Service, family: Family, rules: FrontendRules) -> Vec<String> {
    let port =
        ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: Some(30_080) };
    let mut frontends = Vec::new();
    let Some(cluster_ip) = cluster_ip(service, family) else { return Vec::new() };
    select_frontends(service, &port, cluster_ip, rules, &mut frontends);
    let mut keys: Vec<_> = frontends.iter().map(|frontend| frontend.key).collect();
    keys.sort_unstable();
    assert!(keys.is_sorted_by(|one, other| one < other), "each key once: {frontends:?}");
    let mut texts: Vec<_> = frontends.iter().map(text).collect();
    texts.sort_by_key(|(kind, text)| (kind.0, text.clone()));
    texts.into_iter().map(|(_, text)| text).collect()
}

fn text(frontend: &Frontend) -> (FrontendFlags, String) {
    let (ip, port, protocol, scope): (IpAddr, _, _, _) = match frontend.key {
        FrontendKey::V4(key) => {
            (Address::from_v4_word(key.address).to_ip(), key.port, key.protocol, key.scope)
        }
        FrontendKey::V6(key) => (Address { words: key.address }.to_ip(), key.port, key.protocol, key.scope),
    };
    let kind = match frontend.kind {
        FrontendFlags::CLUSTER_IP => "cluster",
        FrontendFlags::NODE_PORT => "node",
        FrontendFlags::EXTERNAL_IP => "external",
        FrontendFlags::LOAD_BALANCER => "balancer",
        FrontendFlags::ADDRESS_ONLY => "address",
        other => panic!("{other:?}"),
    };
    let scope_of_kind = match kind {
        "node" => Scope::Node,
        "address" => Scope::Address,
        _ => Scope::Exact,
    };
    assert_eq!((scope, protocol), (scope_of_kind as u8, if kind == "address" { 0 } else { 6 }));
    (frontend.kind, format!("{kind} {}", std::net::SocketAddr::new(ip, u16::from_be(port))))
}

#[test]
fn what_each_type_offers() {
    let all = |kind| Service {
        external_ips: ips(&["203.0.113.1"]),
        load_balancer_ips: ips(&["203.0.113.2"]),
        ..service(kind, &[V4])
    };
    let (own, node) = (["cluster 10.96.0.10:80"], ["node 0.0.0.0:30080"]);
    let rest = ["external 203.0.113.1:80", "balancer 203.0.113.2:80", "address 10.96.0.10:0"];
    for (kind, expected) in [
        (ClusterIp, [&own[..], &rest].concat()),
        (NodePort, [&own[..], &node, &rest].concat()),
        (LoadBalancer, [&own[..], &node, &rest].concat()),
        (ExternalName, vec![]),
    ] {
        assert_eq!(select(&all(kind), Family::V4, FrontendRules::default()), expected, "{kind:?}");
    }
}

#[test]
fn services_without_any_frontend() {
    let full = || Service {
        external_ips: ips(&["203.0.113.1"]),
        load_balancer_ips: ips(&["203.0.113.2"]),
        ..service(LoadBalancer, &[V4])
    };
    let table = [
        ("headless, even with external IPs", Service { headless: true, ..full() }),
        ("labelled for another proxy", Service { foreign_proxy: true, ..full() }),
        ("ExternalName, even with an address left over", Service { kind: ExternalName, ..full() }),
        ("without a ClusterIP", Service { cluster_ips: vec![], ..full() }),
    ];
    for (rule, service) in table {
        for family in Family::BOTH {
            assert_eq!(cluster_ip(&service, family), None, "{rule}");
        }
    }
}

#[test]
fn families_are_independent() {
    let both = Service {
        external_ips: ips(&["203.0.113.1", "2001:db8::1"]),
        load_balancer_ips: ips(&["203.0.113.2", "2001:db8::2"]),
        ..service(NodePort, &[V4, V6])
    };
    let v6 = [
        "cluster [fd00:96::a]:80",
        "node [::]:30080",
        "external [2001:db8::1]:80",
        "balancer [2001:db8::2]:80",
        "address [fd00:96::a]:0",
    ];
    assert_eq!(select(&both, Family::V6, FrontendRules::default()), v6);
    let single = Service { cluster_ips: ips(&[V4]), ..both };
    assert_eq!(select(&single, Family::V6, FrontendRules::default()), [""; 0], "not even a NodePort");
    assert_eq!(select(&single, Family::V4, FrontendRules::default()).len(), 5);
}

#[test]
fn without_a_node_port_there_is_none() {
    // `allocateLoadBalancerNodePorts: false`.
    let port = ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: None };
    let mut frontends = Vec::new();
    let service = service(LoadBalancer, &[V4]);
    select_frontends(&service, &port, V4.parse().unwrap(), FrontendRules::default(), &mut frontends);
    assert!(frontends.iter().all(|frontend| frontend.kind != FrontendFlags::NODE_PORT));
}

#[test]
fn external_ips_are_served_unless_an_operator_forbids_them() {
    let service = Service { external_ips: ips(&["203.0.113.1"]), ..service(ClusterIp, &[V4]) };
    let served = |external_ips| {
        select(&service, Family::V4, FrontendRules { external_ips, ..FrontendRules::default() })
    };
    assert_eq!(served(true), ["cluster 10.96.0.10:80", "external 203.0.113.1:80", "address 10.96.0.10:0"]);
    assert_eq!(served(false), ["cluster 10.96.0.10:80", "address 10.96.0.10:0"]);
}

#[test]
fn an_address_in_several_lists_counts_once() {
    type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
    let table: [Row<'_>; 3] = [
        (
            "a load-balancer IP keeps its source ranges",
            &["203.0.113.1"],
            &["203.0.113.1"],
            &["cluster 10.96.0.10:80", "balancer 203.0.113.1:80", "address 10.96.0.10:0"],
        ),
        (
            "a ClusterIP is one, whatever else",
            &[V4],
            &[V4],
            &["cluster 10.96.0.10:80", "address 10.96.0.10:0"],
        ),
        (
            "twice in one list, once as an IPv4-mapped address",
            &["203.0.113.1", "::ffff:203.0.113.1"],
            &[],
            &["cluster 10.96.0.10:80", "external 203.0.113.1:80", "address 10.96.0.10:0"],
        ),
    ];
    for (rule, external, balancer, expected) in table {
        let service = Service {
            external_ips: ips(external),
            load_balancer_ips: ips(balancer),
            ..service(ClusterIp, &[V4])
        };
        assert_eq!(select(&service, Family::V4, FrontendRules::default()), expected, "{rule}");
    }
}
