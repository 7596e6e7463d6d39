//! A ServiceCIDR.

use super::{Bytes, list, metadata, set, value};
use serde_json::{Map, Value, json};

/// A ServiceCIDR of any networks.
pub fn service_cidr(bytes: &mut Bytes<'_>) -> Value {
    let metadata = metadata(bytes, &["kubernetes", "more"], Map::new());
    let mut spec = json!({});
    set(bytes, &mut spec, "cidrs", |bytes| list(bytes, 3, value::cidr));
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": metadata, "spec": spec,
    })
}
