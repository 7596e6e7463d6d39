//! A Service that is beyond reproach, with its slices: whatever stands beside it, it must be served.

use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use serde_json::{Value, json};
use shunt::{
    model::{Event, Family, Protocol},
    source::kubernetes,
    view::decode,
    writer::MapReader,
};
use std::net::SocketAddr;

/// Namespace and name of the Service. The generator gives no object of this namespace.
pub const NAME: &str = "sound";

/// Addresses of the Service and of its endpoints: of TEST-NET-2 and of the documentation prefix.
const ADDRESSES: [(Family, &str, [&str; 2]); 2] = [
    (Family::V4, "198.51.100.1", ["198.51.100.11", "198.51.100.12"]),
    (Family::V6, "2001:db8:5::1", ["2001:db8:5::11", "2001:db8:5::12"]),
];

/// Ports: name, protocol, number of the Service, number of its endpoints, node port. The generator gives no
/// object these node ports.
const PORTS: [(&str, Protocol, u16, u16, u16); 2] =
    [("dns", Protocol::Udp, 53, 5353, 31_953), ("http", Protocol::Tcp, 80, 8080, 31_980)];

/// The Service.
pub fn service() -> Value {
    let ports = PORTS.map(|(name, protocol, port, _, node_port)| {
        json!({"name": name, "protocol": protocol.to_string(), "port": port, "nodePort": node_port})
    });
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": NAME, "name": NAME},
        "spec": {
            "type": "NodePort", "clusterIP": ADDRESSES[0].1, "clusterIPs": ADDRESSES.map(|(_, ip, _)| ip),
            "ports": ports,
        },
    })
}

/// Its slices, one per family.
pub fn slices() -> [Value; 2] {
    let ports = PORTS.map(
        |(name, protocol, _, port, _)| json!({"name": name, "protocol": protocol.to_string(), "port": port}),
    );
    ADDRESSES.map(|(family, _, endpoints)| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "namespace": NAME, "name": format!("{NAME}-{family}").to_lowercase(),
                "labels": {"kubernetes.io/service-name": NAME},
            },
            "addressType": family.to_string(), "ports": ports,
            "endpoints": endpoints.map(|endpoint| json!({"addresses": [endpoint]})),
        })
    })
}

/// Service and slices as events.
pub fn events() -> Vec<Event> {
    let service: core::Service = serde_json::from_value(service()).unwrap();
    let slices = slices().map(|slice| {
        let slice: discovery::EndpointSlice = serde_json::from_value(slice).unwrap();
        Event::SliceApplied(kubernetes::endpoint_slice(&slice).object.unwrap())
    });
    let mut events = vec![Event::ServiceApplied(kubernetes::service(&service).object.unwrap())];
    events.extend(slices);
    events
}

/// True where an event redefines these objects or claims what is the Service's. Then nothing can be asked
/// of it any more.
pub fn concerns(event: &Event) -> bool {
    match event {
        Event::ServiceApplied(service) => {
            let mut claimed =
                service.cluster_ips.iter().chain(&service.external_ips).chain(&service.load_balancer_ips);
            service.name.namespace == NAME
                || claimed.any(|ip| ADDRESSES.iter().any(|(_, own, _)| *own == ip.to_string()))
                || service.ports.iter().any(|port| port.node_port.is_some_and(is_own_node_port))
        }
        Event::SliceApplied(slice) => slice.name.namespace == NAME,
        _ => false,
    }
}

/// True where an event ends one of these objects.
pub fn ends(event: &Event) -> bool {
    matches!(event, Event::ServiceDeleted(name) | Event::SliceDeleted(name) if name.namespace == NAME)
}

/// True for a node port of the Service.
pub fn is_own_node_port(number: u16) -> bool {
    PORTS.iter().any(|(_, _, _, _, own)| *own == number)
}

/// The Service has its addresses and node ports, and all of its endpoints stand behind them.
pub fn assert_programmed(maps: &impl MapReader) {
    let views = decode(maps).unwrap();
    for (family, address, endpoints) in ADDRESSES {
        for (name, protocol, number, backend, node_port) in PORTS {
            let own = views.iter().find(|view| {
                view.id.as_ref().is_some_and(|id| {
                    id.service.namespace == NAME
                        && id.service.name == NAME
                        && (id.port.as_str(), id.protocol, id.family) == (name, protocol, family)
                })
            });
            let own = own.unwrap_or_else(|| panic!("the sound service port {name} {family} is lost"));
            let frontends: Vec<_> = own.frontends.iter().map(ToString::to_string).collect();
            let cluster_ip = SocketAddr::new(address.parse().unwrap(), number);
            assert_eq!(frontends, [cluster_ip.to_string(), format!("*:{node_port}")]);
            let expected = endpoints.map(|ip| SocketAddr::new(ip.parse().unwrap(), backend));
            assert_eq!(own.cluster, expected, "endpoints of the sound service port {name} {family}");
        }
    }
}
