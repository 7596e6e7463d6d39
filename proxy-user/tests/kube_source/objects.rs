//! Objects as a cluster has them, and what the source should make of them.

use serde_json::{Value, json};
use shunt::{
    model::Event,
    source::kubernetes::{self, ObjectId},
};

pub const NODE: &str = "node-a";

/// A Service of namespace `shop`; its ClusterIP ends in `last`.
pub fn service(name: &str, last: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name,
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {"f:ports": {}}}}],
        },
        "spec": {"clusterIP": format!("10.96.0.{last}"), "ports": [{"name": "http", "port": 80}]},
    })
}

/// A slice of a Service with so many endpoints.
pub fn slice(name: &str, service: &str, endpoints: u8) -> Value {
    let endpoints: Vec<_> = (1..=endpoints)
        .map(|last| json!({"addresses": [format!("10.244.0.{last}")], "nodeName": NODE, "targetRef": {"kind": "Pod"}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": service, "app": "x"},
        },
        "addressType": "IPv4", "ports": [{"name": "http", "protocol": "TCP", "port": 8080}], "endpoints": endpoints,
    })
}

pub fn node(name: &str, zone: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone}},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.7"}], "images": [{"names": ["a"]}]},
    })
}

pub fn service_cidr(name: &str, cidr: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": name}, "spec": {"cidrs": [cidr]},
    })
}

/// The object of an event, and what applying it means: itself, or nothing.
pub fn of(event: Event) -> (ObjectId, Option<Event>) {
    let id = match &event {
        Event::ServiceApplied(object) => object.into(),
        Event::SliceApplied(object) => object.into(),
        Event::NodeApplied(object) => object.into(),
        Event::ServiceCidrApplied(object) => object.into(),
        Event::ServiceDeleted(name) => return (ObjectId::Service(name.clone()), None),
        Event::SliceDeleted(name) => return (ObjectId::EndpointSlice(name.clone()), None),
        Event::NodeDeleted(name) => return (ObjectId::Node(name.clone()), None),
        Event::ServiceCidrDeleted(name) => return (ObjectId::ServiceCidr(name.clone()), None),
        Event::LocalAddresses(_) => panic!("no event of the API server"),
    };
    (id, Some(event))
}

/// The event of an object, by way of the full types of the API.
pub fn applied(object: &Value) -> Option<Event> {
    let object = object.clone();
    Some(match object["kind"].as_str().unwrap() {
        "Service" => {
            Event::ServiceApplied(kubernetes::service(&serde_json::from_value(object).ok()?).object?)
        }
        "EndpointSlice" => {
            Event::SliceApplied(kubernetes::endpoint_slice(&serde_json::from_value(object).ok()?).object?)
        }
        "Node" => Event::NodeApplied(kubernetes::node(&serde_json::from_value(object).ok()?).object?),
        "ServiceCIDR" => {
            Event::ServiceCidrApplied(kubernetes::service_cidr(&serde_json::from_value(object).ok()?).object?)
        }
        other => panic!("{other}"),
    })
}
