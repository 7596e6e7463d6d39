//! A Service.

use super::{Bytes, list, metadata, set, value};
use serde_json::{Map, Value, json};

/// A Service of any type, with any of the fields that a service proxy reads.
pub fn service(bytes: &mut Bytes<'_>) -> Value {
    let mut labels = Map::new();
    if bytes.once_in(24) {
        labels.insert("service.kubernetes.io/service-proxy-name".into(), json!(bytes.pick(&["", "other"])));
    }
    let metadata = metadata(bytes, &["web", "dns", "a", "b"], labels);
    let mut spec = json!({});
    set(bytes, &mut spec, "ports", |bytes| list(bytes, 4, port));
    if bytes.once_in(3) {
        set(bytes, &mut spec, "clusterIP", |bytes| value::address(bytes, 96));
    } else {
        set(bytes, &mut spec, "clusterIPs", |bytes| list(bytes, 3, |bytes| value::address(bytes, 96)));
    }
    // The rest is what few Services have: one byte says which.
    let more = bytes.byte();
    if more & 1 != 0 {
        let types = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
        set(bytes, &mut spec, "type", |bytes| value::word(bytes, &types));
    }
    if more & 2 != 0 {
        set(bytes, &mut spec, "externalIPs", |bytes| list(bytes, 3, |bytes| value::address(bytes, 96)));
    }
    if more & 4 != 0 {
        set(bytes, &mut spec, "loadBalancerSourceRanges", |bytes| list(bytes, 3, value::cidr));
    }
    if more & 8 != 0 {
        for field in ["internalTrafficPolicy", "externalTrafficPolicy"] {
            set(bytes, &mut spec, field, |bytes| value::word(bytes, &["Local", "Cluster"]));
        }
    }
    if more & 16 != 0 {
        affinity(bytes, &mut spec);
    }
    if more & 32 != 0 {
        let families = |bytes: &mut Bytes<'_>| value::word(bytes, &["IPv4", "IPv6"]);
        set(bytes, &mut spec, "ipFamilies", |bytes| list(bytes, 3, families));
    }
    if more & 64 != 0 {
        set(bytes, &mut spec, "healthCheckNodePort", value::port);
        set(bytes, &mut spec, "allocateLoadBalancerNodePorts", |bytes| json!(bytes.once_in(2)));
    }
    let mut service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec});
    if more & 128 != 0 {
        set(
            bytes,
            &mut service,
            "status",
            |bytes| json!({"loadBalancer": {"ingress": list(bytes, 3, ingress)}}),
        );
    }
    service
}

fn port(bytes: &mut Bytes<'_>) -> Value {
    let mut port = json!({"port": value::port(bytes), "name": value::port_name(bytes)});
    if bytes.once_in(2) {
        port["protocol"] = value::word(bytes, &["UDP", "TCP", "SCTP"]);
    }
    if bytes.once_in(3) {
        set(bytes, &mut port, "nodePort", value::port);
    }
    if bytes.once_in(8) {
        set(bytes, &mut port, "targetPort", |bytes| json!(bytes.pick(&["http", "", "8080"])));
    }
    port
}

fn affinity(bytes: &mut Bytes<'_>, spec: &mut Value) {
    set(bytes, spec, "sessionAffinity", |bytes| value::word(bytes, &["ClientIP", "None"]));
    if bytes.once_in(2) {
        let seconds = [10_800, 1, 0, -1, 86_400, 86_401, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX];
        set(
            bytes,
            spec,
            "sessionAffinityConfig",
            |bytes| json!({"clientIP": {"timeoutSeconds": seconds[bytes.below(seconds.len())]}}),
        );
    }
}

fn ingress(bytes: &mut Bytes<'_>) -> Value {
    let mut ingress = json!({});
    set(bytes, &mut ingress, "ip", |bytes| value::address(bytes, 96));
    if bytes.once_in(3) {
        set(bytes, &mut ingress, "ipMode", |bytes| value::word(bytes, &["VIP", "Proxy"]));
    }
    if bytes.once_in(4) {
        set(bytes, &mut ingress, "hostname", |_| json!("lb.example"));
    }
    ingress
}
