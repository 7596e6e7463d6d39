//! Objects of a sample cluster as a client sends them to an API server.

use serde_json::{Value, json};
use shunt::model::{Endpoint, EndpointSlice, ObjectName, Service};

/// Where an object is posted, and where it is put later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Path of the collection.
    pub collection: String,
    /// Path of the object.
    pub object: String,
}

/// A namespace.
#[must_use]
pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A Node with one address. Its status is put after it was posted.
#[must_use]
pub fn node(name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
}

/// A Service without selector; the server chooses its ClusterIP.
#[must_use]
pub fn service(service: &Service) -> (Place, Value) {
    let ObjectName { namespace, name } = &service.name;
    let port = |p: &shunt::model::ServicePort| json!({"name": p.name.as_str(), "protocol": p.protocol.to_string(), "port": p.port});
    let ports: Vec<Value> = service.ports.iter().map(port).collect();
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace.as_str(), "name": name.as_str(), "labels": {"app": name.as_str()}},
        "spec": {"ports": ports},
    });
    (place("/api/v1", namespace, "services", name), object)
}

/// An EndpointSlice with all that the controller writes, of which a proxy needs a part. `trigger` is the annotation
/// endpoints.kubernetes.io/last-change-trigger-time.
#[must_use]
pub fn slice(slice: &EndpointSlice, trigger: Option<&str>) -> (Place, Value) {
    let ObjectName { namespace, name } = &slice.name;
    let ports = slice.ports.iter();
    let ports: Vec<Value> = ports
        .map(|p| json!({"name": p.name.as_str(), "protocol": p.protocol.to_string(), "port": p.port}))
        .collect();
    let endpoints: Vec<Value> =
        slice.endpoints.iter().map(|known| endpoint(known, namespace, &slice.service)).collect();
    let mut object = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace.as_str(),
            "name": name.as_str(),
            "labels": {
                "app": slice.service.as_str(),
                "kubernetes.io/service-name": slice.service.as_str(),
                "endpointslice.kubernetes.io/managed-by": "shunt-bench",
            },
        },
        "addressType": slice.family.to_string(),
        "ports": ports,
        "endpoints": endpoints,
    });
    if let Some(trigger) = trigger {
        object["metadata"]["annotations"] =
            json!({"endpoints.kubernetes.io/last-change-trigger-time": trigger});
    }
    (place("/apis/discovery.k8s.io/v1", namespace, "endpointslices", name), object)
}

fn endpoint(endpoint: &Endpoint, namespace: &str, service: &str) -> Value {
    let octets = endpoint.address.to_string().replace(['.', ':'], "-");
    let conditions = &endpoint.conditions;
    let mut object = json!({
        "addresses": [endpoint.address.to_string()],
        "conditions": {
            "ready": conditions.ready,
            "serving": conditions.serving,
            "terminating": conditions.terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": namespace,
            "name": format!("{service}-{octets}"),
            "uid": format!("6f1d3c1e-0000-4000-8000-{:0>12}", octets.replace('-', "")),
        },
        "zone": "zone-a",
    });
    if let Some(node) = &endpoint.node {
        object["nodeName"] = json!(node.as_str());
    }
    object
}

fn place(group: &str, namespace: &str, resource: &str, name: &str) -> Place {
    let collection = format!("{group}/namespaces/{namespace}/{resource}");
    Place { object: format!("{collection}/{name}"), collection }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::SampleCluster;

    #[test]
    fn a_slice_says_what_the_sample_does() {
        let cluster = SampleCluster::new(3, 10);
        let sample = cluster.slices(2).next().unwrap();
        let (place, object) = slice(&sample, Some("2026-01-01T00:00:00Z"));
        assert_eq!(
            place.object,
            "/apis/discovery.k8s.io/v1/namespaces/team-0/endpointslices/service-2-0x7k2"
        );
        assert_eq!(object["endpoints"].as_array().unwrap().len(), 10);
        assert_eq!(object["endpoints"][9]["addresses"][0], sample.endpoints[9].address.to_string());
        assert_eq!(object["metadata"]["labels"]["kubernetes.io/service-name"], "service-2");
        assert_eq!(object["addressType"], "IPv4");
    }
}
