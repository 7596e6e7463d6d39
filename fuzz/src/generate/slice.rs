//! An EndpointSlice.

use super::{Bytes, list, metadata, set, value};
use serde_json::{Map, Value, json};

/// A slice of any address type, mostly of one of the generated Services.
pub fn endpoint_slice(bytes: &mut Bytes<'_>) -> Value {
    let mut labels = Map::new();
    if !bytes.once_in(24) {
        let service = value::name(bytes, &["web", "dns", "a", "b"]);
        labels.insert("kubernetes.io/service-name".into(), service);
    }
    if bytes.once_in(32) {
        labels.insert("service.kubernetes.io/headless".into(), json!(""));
    }
    let metadata = metadata(bytes, &["s0", "s1", "s2", "s3", "s4"], labels);
    let family = value::word(bytes, &["IPv4", "IPv4", "IPv6", "FQDN"]);
    let mut slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": metadata, "addressType": family, "endpoints": list(bytes, 6, endpoint),
    });
    set(bytes, &mut slice, "ports", |bytes| list(bytes, 3, port));
    slice
}

fn port(bytes: &mut Bytes<'_>) -> Value {
    let mut port = json!({});
    set(bytes, &mut port, "port", value::port);
    set(bytes, &mut port, "name", value::port_name);
    if bytes.once_in(2) {
        set(bytes, &mut port, "protocol", |bytes| value::word(bytes, &["UDP", "TCP", "SCTP"]));
    }
    port
}

fn endpoint(bytes: &mut Bytes<'_>) -> Value {
    let addresses = if bytes.once_in(12) {
        list(bytes, 3, |bytes| value::address(bytes, 244))
    } else {
        json!([value::address(bytes, 244)])
    };
    let mut endpoint = json!({"addresses": addresses});
    if bytes.once_in(2) {
        let conditions = bytes.byte();
        let names = ["ready", "serving", "terminating"];
        endpoint["conditions"] = names.into_iter().enumerate().fold(json!({}), |mut all, (bit, name)| {
            match conditions >> (2 * bit) & 3 {
                0 => all[name] = json!(true),
                1 => all[name] = json!(false),
                2 => all[name] = Value::Null,
                _ => {}
            }
            all
        });
    }
    if bytes.once_in(2) {
        set(bytes, &mut endpoint, "nodeName", value::node_name);
    }
    if bytes.once_in(3) {
        let zones = list(bytes, 2, |bytes| json!({"name": value::zone(bytes)}));
        set(bytes, &mut endpoint, "hints", |_| json!({"forZones": zones}));
    }
    if bytes.once_in(5) {
        let nodes = list(bytes, 2, |bytes| json!({"name": value::node_name(bytes)}));
        set(bytes, &mut endpoint, "hints", |_| json!({"forNodes": nodes}));
    }
    endpoint
}
