//! A Node.

use super::{super::rules::NODE, Bytes, list, metadata, set, value};
use serde_json::{Map, Value, json};

/// This node or another one.
pub fn node(bytes: &mut Bytes<'_>) -> Value {
    let mut labels = Map::new();
    if !bytes.once_in(4) {
        labels.insert("topology.kubernetes.io/zone".into(), value::zone(bytes));
    }
    let metadata = metadata(bytes, &[NODE, NODE, "node-b"], labels);
    let mut node = json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata});
    set(bytes, &mut node, "status", |bytes| json!({"addresses": list(bytes, 4, address)}));
    let mut spec = json!({});
    set(bytes, &mut spec, "podCIDR", value::cidr);
    set(bytes, &mut spec, "podCIDRs", |bytes| list(bytes, 3, value::cidr));
    set(bytes, &mut node, "spec", |_| spec);
    node
}

fn address(bytes: &mut Bytes<'_>) -> Value {
    let kind = value::word(bytes, &["InternalIP", "ExternalIP", "Hostname", "InternalDNS"]);
    json!({"type": kind, "address": value::address(bytes, 0)})
}
