//! Objects of the Kubernetes API as JSON: mostly sound, with values in them that the API server would
//! refuse, once accepted, or that only hand-written objects have.

mod node;
mod service;
mod service_cidr;
mod slice;
mod value;

use super::bytes::Bytes;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

pub use node::node;
pub use service::service;
pub use service_cidr::service_cidr;
pub use slice::endpoint_slice;

/// Addresses of this node's interfaces, as netlink tells them.
pub fn local_addresses(bytes: &mut Bytes<'_>) -> Vec<IpAddr> {
    let texts = list(bytes, 4, |bytes| value::address(bytes, 0));
    let parsed = texts.as_array().into_iter().flatten().filter_map(|text| text.as_str()?.parse().ok());
    parsed.collect()
}

/// `metadata`, with `labels` beside those that any object may have.
fn metadata(bytes: &mut Bytes<'_>, names: &[&str], labels: Map<String, Value>) -> Value {
    let mut metadata = json!({"name": value::name(bytes, names), "labels": labels});
    match bytes.below(8) {
        0..=4 => metadata["namespace"] = json!("default"),
        5 => metadata["namespace"] = json!("shop"),
        6 => metadata["namespace"] = value::name(bytes, &["shop"]),
        _ => {}
    }
    if bytes.once_in(2) {
        metadata["creationTimestamp"] = json!(bytes.pick_or(
            &["2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"],
            &[
                "0001-01-01T00:00:00Z",
                "9999-12-31T23:59:59Z",
                "2024-01-01T00:00:00.5+14:00",
                "1969-07-20",
                ""
            ],
        ));
    }
    metadata
}

/// A list of what `element` makes; now and then a long one.
fn list(bytes: &mut Bytes<'_>, most: usize, mut element: impl FnMut(&mut Bytes<'_>) -> Value) -> Value {
    let (count, repeated) = match bytes.byte() {
        255 => (2, 300),
        byte => (usize::from(byte) % (most + 1), 1),
    };
    let some: Vec<_> = (0..count).map(|_| element(bytes)).collect();
    Value::Array((0..repeated).flat_map(|_| some.clone()).collect())
}

/// Sets `object[field]` most of the time; now and then to null, or to something of another type.
fn set(bytes: &mut Bytes<'_>, object: &mut Value, field: &str, value: impl FnOnce(&mut Bytes<'_>) -> Value) {
    match bytes.byte() {
        0..=199 => object[field] = value(bytes),
        200..=206 => object[field] = Value::Null,
        207 => object[field] = json!({"a": [1]}),
        208 => object[field] = json!([value(bytes)]),
        209 => object[field] = json!(value(bytes).to_string()),
        _ => {}
    }
}
