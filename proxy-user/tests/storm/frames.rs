//! Watch frames just as an API server writes them: kind and version come first, then the name.

use serde_json::{Value, json};

/// A slice of one endpoint, which stands for a version of its service.
pub fn slice(service: &str, version: u32) -> String {
    let [_, b, c, d] = version.to_be_bytes();
    let metadata = format!(
        r#""name":"{service}-x","namespace":"shop","resourceVersion":"{version}","labels":{{"kubernetes.io/service-name":"{service}"}}"#
    );
    let endpoints =
        json!([{"addresses": [format!("10.{}.{c}.{d}", b + 128)], "conditions": {"ready": true}}]);
    let ports = json!([{"name": "http", "protocol": "TCP", "port": 8_080}]);
    format!(
        r#"{{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{{metadata}}},"addressType":"IPv4","endpoints":{endpoints},"ports":{ports}}}"#
    )
}

/// A Service whose ClusterIP is told by its number.
pub fn service(name: &str, number: u32) -> Value {
    let [_, _, c, d] = number.to_be_bytes();
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "1"},
        "spec": {"clusterIP": format!("10.96.{c}.{d}"), "ports": [{"name": "http", "port": 80}]},
    })
}

pub fn frame(type_: &str, object: &str) -> String {
    format!("{{\"type\":\"{type_}\",\"object\":{object}}}\n")
}

/// Ends a list that streams.
pub fn end_of_list(version: u32) -> String {
    let annotations = json!({"k8s.io/initial-events-end": "true"});
    let metadata = json!({"resourceVersion": version.to_string(), "annotations": annotations});
    frame("BOOKMARK", &json!({"kind": "X", "metadata": metadata}).to_string())
}
