//! EndpointSlice → [`model::EndpointSlice`].

use super::{
    Converted, ObjectId,
    address::parse_usable,
    api,
    converted::{Warnings, name_of},
    port,
};
use crate::model::{self, Conditions, Endpoint, Family, SlicePort};
use k8s_openapi::api::discovery::v1 as discovery;
use smol_str::SmolStr;

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const HEADLESS: &str = "service.kubernetes.io/headless";

/// An EndpointSlice. Ignored are: slices of a headless Service (A4) and FQDN slices (A10), quietly; a
/// slice that names no Service (A9) and one of an unknown address type, with a warning. The rows are
/// BEHAVIOUR.md's.
#[must_use]
pub fn endpoint_slice(object: &discovery::EndpointSlice) -> Converted<model::EndpointSlice> {
    convert(&object.into())
}

pub(in crate::source) fn convert(object: &api::EndpointSlice<'_>) -> Converted<model::EndpointSlice> {
    let name = name_of(&object.metadata);
    let mut warnings = Warnings::of(ObjectId::EndpointSlice(name.clone()));
    if !(warnings.accept_name("metadata.name", &name.name)
        && warnings.accept_name("metadata.namespace", &name.namespace))
    {
        return warnings.with(None);
    }
    if object.metadata.label(HEADLESS).is_some() {
        return warnings.with(None);
    }
    let family = match object.address_type.as_deref().unwrap_or_default() {
        "IPv4" => Family::V4,
        "IPv6" => Family::V6,
        "FQDN" => return warnings.with(None),
        other => {
            warnings.add("addressType", format!("{other:?} is not IPv4, IPv6 or FQDN, the slice is ignored"));
            return warnings.with(None);
        }
    };
    let Some(service) = object.metadata.label(SERVICE_NAME).filter(|service| !service.is_empty()) else {
        warnings.add(
            format!("metadata.labels[{SERVICE_NAME}]"),
            "is missing, so the slice belongs to no Service and is ignored",
        );
        return warnings.with(None);
    };
    let ports = ports(object.ports.as_deref().unwrap_or_default(), &mut warnings);
    let endpoints = endpoints(object.endpoints.as_deref().unwrap_or_default(), family, &mut warnings);
    let slice = model::EndpointSlice { name, service: SmolStr::new(service), family, ports, endpoints };
    warnings.with(Some(slice))
}

fn ports(listed: &[api::EndpointPort<'_>], warnings: &mut Warnings) -> Vec<SlicePort> {
    let mut ports = Vec::with_capacity(listed.len());
    for (index, entry) in listed.iter().enumerate() {
        let Some(name) = &entry.name else {
            warnings.add(format!("ports[{index}].name"), "is missing, port ignored");
            continue;
        };
        // The API's "no number means every port" was never implemented by kube-proxy (A12).
        let value = entry.port.unwrap_or(0);
        let Some(number) = port::number(value) else {
            let why = if value == 0 { "is missing or zero".into() } else { port::out_of_range(value) };
            warnings.add(format!("ports[{index}].port"), format!("{why}, port ignored"));
            continue;
        };
        match port::protocol(entry.protocol.as_deref()) {
            Ok(protocol) => ports.push(SlicePort { name: SmolStr::new(name), protocol, port: number }),
            Err(why) => warnings.add(format!("ports[{index}].protocol"), format!("{why}, port ignored")),
        }
    }
    ports
}

fn endpoints(listed: &[api::Endpoint<'_>], family: Family, warnings: &mut Warnings) -> Vec<Endpoint> {
    let mut endpoints = Vec::with_capacity(listed.len());
    for (index, entry) in listed.iter().enumerate() {
        let first = entry.addresses.as_ref().and_then(|addresses| addresses.0.as_ref());
        let Some(text) = first.map(|text| &**text) else {
            warnings.add(format!("endpoints[{index}].addresses"), "is empty, endpoint ignored");
            continue;
        };
        let address = match parse_usable(text) {
            Ok(address) if Family::of(&address) == family => address,
            Ok(_) => {
                let why = format!("{text:?} is not of the slice's family {family}, endpoint ignored");
                warnings.add(format!("endpoints[{index}].addresses[0]"), why);
                continue;
            }
            Err(why) => {
                let why = format!("{text:?} {why}, endpoint ignored");
                warnings.add(format!("endpoints[{index}].addresses[0]"), why);
                continue;
            }
        };
        let hints = entry.hints.as_ref();
        let zones = hints.and_then(|hints| hints.for_zones.as_deref()).unwrap_or_default();
        let nodes = hints.and_then(|hints| hints.for_nodes.as_deref()).unwrap_or_default();
        endpoints.push(Endpoint {
            address,
            conditions: conditions(entry.conditions.as_ref()),
            node: entry.node_name.as_deref().filter(|node| !node.is_empty()).map(SmolStr::new),
            zone_hints: zones.iter().map(hint).collect(),
            node_hints: nodes.iter().map(hint).collect(),
        });
    }
    endpoints
}

fn hint(given: &api::Hint<'_>) -> SmolStr {
    SmolStr::new(given.name.as_deref().unwrap_or_default())
}

fn conditions(given: Option<&api::EndpointConditions>) -> Conditions {
    let Conditions { ready, serving, terminating } = Conditions::default();
    given.map_or_else(Conditions::default, |given| Conditions {
        ready: given.ready.unwrap_or(ready),
        serving: given.serving.unwrap_or(serving),
        terminating: given.terminating.unwrap_or(terminating),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Protocol;
    use serde_json::{Value, json};

    fn convert(value: Value) -> Converted<model::EndpointSlice> {
        endpoint_slice(&serde_json::from_value(value).unwrap())
    }

    /// A slice with one port and one endpoint, and `changes` laid over its top-level fields.
    fn slice(changes: Value) -> Value {
        let mut slice = json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {SERVICE_NAME: "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
            "endpoints": [{"addresses": ["10.244.0.11"]}],
        });
        for (key, value) in changes.as_object().unwrap() {
            slice[key] = value.clone();
        }
        slice
    }

    #[test]
    fn a_slice_as_a_cluster_writes_it() {
        let converted = convert(slice(json!({"endpoints": [{
            "addresses": ["10.244.0.11", "10.244.0.12"],
            "conditions": {"ready": false, "serving": true, "terminating": true},
            "nodeName": "lab-node",
            "zone": "zone-a",
            "hints": {"forZones": [{"name": "zone-a"}, {"name": "zone-b"}], "forNodes": [{"name": "lab-node"}]},
        }]})));
        assert_eq!(converted.warnings, []);
        assert_eq!(
            converted.object.unwrap(),
            model::EndpointSlice {
                name: model::ObjectName::new("shop", "web-1"),
                service: "web".into(),
                family: Family::V4,
                ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
                endpoints: vec![Endpoint {
                    address: [10, 244, 0, 11].into(),
                    conditions: Conditions { ready: false, serving: true, terminating: true },
                    node: Some("lab-node".into()),
                    zone_hints: vec!["zone-a".into(), "zone-b".into()],
                    node_hints: vec!["lab-node".into()],
                }],
            }
        );
    }

    #[test]
    fn slices_that_are_ignored() {
        let named = |labels: Value| json!({"metadata": {"name": "s", "labels": labels}});
        let table = [
            (named(json!({SERVICE_NAME: "web", HEADLESS: ""})), 0),
            (json!({"addressType": "FQDN"}), 0),
            (json!({"addressType": "IPX"}), 1),
            (named(json!({})), 1),
            (named(json!({SERVICE_NAME: ""})), 1),
            (json!({"metadata": {"labels": {SERVICE_NAME: "web"}}}), 1),
            (json!({"metadata": {"name": "a/b", "labels": {SERVICE_NAME: "web"}}}), 1),
        ];
        for (changes, warnings) in table {
            let converted = convert(slice(changes.clone()));
            assert_eq!(converted.object, None, "{changes}");
            assert_eq!(converted.warnings.len(), warnings, "{changes}: {:?}", converted.warnings);
        }
    }

    #[test]
    fn ports_that_are_ignored() {
        let table = [
            (json!({"port": 8080}), Some("ports[0].name")),
            (json!({"name": "http"}), Some("ports[0].port")),
            (json!({"name": "http", "port": 0}), Some("ports[0].port")),
            (json!({"name": "http", "port": -1}), Some("ports[0].port")),
            (json!({"name": "http", "port": 65536}), Some("ports[0].port")),
            (json!({"name": "http", "port": 8080, "protocol": "QUIC"}), Some("ports[0].protocol")),
            (json!({"name": "", "port": 8080}), None),
            (json!({"name": "dns", "port": 65535, "protocol": "SCTP"}), None),
        ];
        for (port, field) in table {
            let converted = convert(slice(json!({"ports": [port]})));
            let fields: Vec<_> = converted.warnings.iter().map(|warning| warning.field.as_str()).collect();
            assert_eq!(fields, Vec::from_iter(field), "{port}");
            assert_eq!(converted.object.unwrap().ports.len(), usize::from(field.is_none()), "{port}");
        }
    }

    #[test]
    fn addresses_that_are_ignored() {
        let table = [
            (json!([]), "IPv4", None),
            (json!(["10.244.0.300"]), "IPv4", None),
            (json!(["fd00::1"]), "IPv4", None),
            (json!(["10.244.0.1"]), "IPv6", None),
            (json!(["0.0.0.0"]), "IPv4", None),
            (json!(["pod.example"]), "IPv4", None),
            (json!(["fd00::1", "10.0.0.1"]), "IPv6", Some("fd00::1")),
            (json!(["010.244.000.001"]), "IPv4", Some("10.244.0.1")),
        ];
        for (addresses, family, expected) in table {
            let changes = json!({"addressType": family, "endpoints": [{"addresses": addresses}]});
            let converted = convert(slice(changes.clone()));
            let slice = converted.object.unwrap();
            let found: Vec<_> = slice.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
            assert_eq!(found, Vec::from_iter(expected), "{changes}");
            assert_eq!(converted.warnings.len(), usize::from(expected.is_none()), "{changes}");
        }
    }

    #[test]
    fn absent_conditions_have_the_apis_defaults() {
        let table = [
            (json!({}), (true, true, false)),
            (json!({"ready": false}), (false, true, false)),
            (json!({"serving": false}), (true, false, false)),
            (json!({"terminating": true}), (true, true, true)),
            (json!({"ready": null, "serving": null, "terminating": null}), (true, true, false)),
            (Value::Null, (true, true, false)),
        ];
        for (given, (ready, serving, terminating)) in table {
            let entry = json!({"addresses": ["10.0.0.1"], "conditions": given});
            let slice = convert(slice(json!({"endpoints": [entry]}))).object.unwrap();
            assert_eq!(slice.endpoints[0].conditions, Conditions { ready, serving, terminating }, "{given}");
            assert_eq!(slice.endpoints[0].node, None);
        }
    }
}
