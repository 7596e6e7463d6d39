//! What the cluster holds: two Services of two families, and the endpoints that are listed.

use serde_json::{Value, json};
use shunt::lab::lan::Node;
use std::net::{IpAddr, SocketAddr};

/// ClusterIPs of the Service without session affinity, and of the one with.
pub const CLUSTER_IPS: [[&str; 2]; 2] = [["10.96.0.10", "fd00:10:96::10"], ["10.96.0.11", "fd00:10:96::11"]];
pub const NODE_PORTS: [u16; 2] = [30_080, 30_081];
/// The ports that pods listen on, one for each Service.
pub const TARGETS: [u16; 2] = [8_080, 8_081];
const NAMES: [&str; 2] = ["web", "sticky"];

/// An endpoint that is listed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    pub ips: [IpAddr; 2],
    pub node: String,
}

/// Whether a Service is one of them: an API server adds its own.
pub fn has(name: &str) -> bool {
    NAMES.contains(&name)
}

/// ClusterIPs with the port of a Service.
pub fn cluster_ips(service: usize) -> Vec<SocketAddr> {
    CLUSTER_IPS[service].iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80)).collect()
}

/// The addresses of a node with the NodePort of a Service.
pub fn node_ports(service: usize, node: &Node) -> Vec<SocketAddr> {
    let ips: [IpAddr; 2] = [node.ipv4().into(), node.ipv6().into()];
    ips.map(|ip| SocketAddr::new(ip, NODE_PORTS[service])).into()
}

/// The Services and the Node, which no fault changes.
pub fn fixed(node: &Node) -> String {
    let services = [0, 1].map(|index| {
        let port = |protocol: &str| {
            json!({ "name": protocol.to_lowercase(), "protocol": protocol, "port": 80,
                "targetPort": TARGETS[index], "nodePort": NODE_PORTS[index] })
        };
        let affinity = if index == 1 { "ClientIP" } else { "None" };
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": NAMES[index], "namespace": "default" },
            "spec": { "type": "NodePort", "clusterIP": CLUSTER_IPS[index][0], "clusterIPs": CLUSTER_IPS[index],
                "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack", "sessionAffinity": affinity,
                "ports": [port("TCP"), port("UDP")] } })
    });
    let cidrs: Vec<_> =
        node.pod_networks().iter().take(2).map(|(ip, prefix)| format!("{ip}/{prefix}")).collect();
    let address = |ip: IpAddr| json!({ "type": "InternalIP", "address": ip });
    let object = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": node.name() },
        "spec": { "podCIDR": cidrs[0], "podCIDRs": cidrs },
        "status": { "addresses": [address(node.ipv4().into()), address(node.ipv6().into())] } });
    list(services.into_iter().chain([object]))
}

/// So many Services that nobody dials, with an endpoint each.
pub fn fillers(count: u16) -> String {
    let name = |number: u16| format!("filler-{number}");
    list((0..count).flat_map(|number| {
        let [high, low] = number.to_be_bytes();
        let service = json!({ "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": name(number), "namespace": "default" },
            "spec": { "clusterIP": format!("10.97.{high}.{low}"), "clusterIPs": [format!("10.97.{high}.{low}")],
                "ipFamilies": ["IPv4"], "ports": [{ "name": "main", "port": 80 }] } });
        let slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": name(number), "namespace": "default",
                "labels": { "kubernetes.io/service-name": name(number) } },
            "ports": [{ "name": "main", "port": 80 }],
            "endpoints": [{ "addresses": [format!("10.200.{high}.{low}")], "conditions": { "ready": true } }] });
        [service, slice]
    }))
}

/// The slices of both Services.
pub fn slices(endpoints: &[Endpoint]) -> String {
    let slice = |index: usize, family: usize| {
        let endpoints: Vec<_> = endpoints.iter().map(|endpoint| {
            json!({ "addresses": [endpoint.ips[family]], "nodeName": endpoint.node, "conditions": { "ready": true } })
        }).collect();
        let port = |protocol: &str| json!({ "name": protocol.to_lowercase(), "protocol": protocol, "port": TARGETS[index] });
        let kind = ["IPv4", "IPv6"][family];
        let name = format!("{}-{}", NAMES[index], kind.to_lowercase());
        json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": kind,
            "metadata": { "name": name, "namespace": "default", "labels": { "kubernetes.io/service-name": NAMES[index] } },
            "ports": [port("TCP"), port("UDP")], "endpoints": endpoints })
    };
    list([(0, 0), (0, 1), (1, 0), (1, 1)].map(|(index, family)| slice(index, family)))
}

fn list(items: impl IntoIterator<Item = Value>) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": items.into_iter().collect::<Vec<_>>() }).to_string()
}
