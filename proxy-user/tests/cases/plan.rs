//! What the maps hold against what a case expects them to hold, in the words of `shunt plan -o json`.

use super::text::Frontend;
use proxy_common::abi::{Address, Scope};
use serde_json::{Map, Value, json};
use shunt::{model::TrafficPolicy, table::Conflict, view::PortView, writer::FrontendKey};
use std::net::SocketAddr;

/// What names a service port, and what a case need not say.
const IDENTITY: [(&str, &str); 5] =
    [("namespace", "default"), ("name", ""), ("port", ""), ("protocol", "TCP"), ("family", "IPv4")];

/// What differs; nothing if the expectation holds.
pub fn differences(expected: &[Map<String, Value>], found: &[PortView]) -> Vec<String> {
    let found: Vec<_> = found.iter().map(fields).collect();
    let mut differences = Vec::new();
    for expected in expected {
        let name = identity(expected);
        let Some(found) = found.iter().find(|found| identity(found) == name) else {
            differences.push(format!("{name}: is not programmed"));
            continue;
        };
        for (field, expected) in expected {
            match found.get(field) {
                None => differences.push(format!("{name}: there is no field {field:?}")),
                Some(found) if found == expected => {}
                Some(found) => {
                    differences
                        .push(format!("{name}: {field}\n    expected {expected}\n    found    {found}"));
                }
            }
        }
    }
    let expected: Vec<_> = expected.iter().map(identity).collect();
    let more = found.iter().map(identity).filter(|name| !expected.contains(name));
    differences.extend(more.map(|name| format!("{name}: is programmed, and not expected")));
    differences
}

/// `default/web: TCP IPv4`.
fn identity(fields: &Map<String, Value>) -> String {
    let [namespace, name, port, protocol, family] =
        IDENTITY.map(|(field, default)| fields.get(field).and_then(Value::as_str).unwrap_or(default));
    format!("{namespace}/{name}:{port} {protocol} {family}")
}

fn fields(port: &PortView) -> Map<String, Value> {
    let policy = |policy| match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    };
    let id = port.id.as_ref();
    let addresses = |list: &[SocketAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let fields = json!({
        "namespace": id.map(|id| id.service.namespace.to_string()),
        "name": id.map(|id| id.service.name.to_string()),
        "port": id.map(|id| id.port.to_string()),
        "protocol": id.map(|id| id.protocol.to_string()),
        "family": id.map(|id| id.family.to_string()),
        "frontends": port.frontends.iter().map(|view| Frontend::of(view).0).collect::<Vec<_>>(),
        "cluster": addresses(&port.cluster),
        "local": addresses(&port.local),
        "any_usable": port.any_usable,
        "internal_policy": policy(port.internal_policy),
        "external_policy": policy(port.external_policy),
        "affinity_seconds": port.affinity_seconds,
        "source_ranges": port.source_ranges.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "health_check_node_port": port.health_check_node_port,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// The frontends that several Services claim, as a case writes them, ascending.
pub fn conflicts(found: &[Conflict]) -> Vec<String> {
    let mut texts: Vec<_> = found.iter().filter_map(conflict).collect();
    texts.sort();
    texts
}

fn conflict(Conflict { key, winner, loser }: &Conflict) -> Option<String> {
    let (address, port, scope) = match key {
        FrontendKey::V4(key) => (Address::from_v4_word(key.address), key.port, key.scope),
        FrontendKey::V6(key) => (Address { words: key.address }, key.port, key.scope),
    };
    // The mark of a ClusterIP as such is claimed by every port of its Service, and says the same for each.
    if scope == Scope::Address as u8 {
        return None;
    }
    let dialled = match scope == Scope::Node as u8 {
        true => format!("*:{}", u16::from_be(port)),
        false => SocketAddr::new(address.to_ip(), u16::from_be(port)).to_string(),
    };
    Some(format!("{dialled}/{}: {} before {}", winner.protocol, winner.service, loser.service))
}
