//! Node → [`model::Node`].

use super::{
    Converted, ObjectId,
    address::{parse_cidrs, parse_usable},
    converted::{Warnings, label},
};
use crate::model;
use k8s_openapi::api::core::v1 as api;
use smol_str::SmolStr;

const ZONE: &str = "topology.kubernetes.io/zone";

/// A Node. Internal addresses come before external ones, each in their order: the first of a family is
/// the node's primary address, as in kube-proxy's `GetNodeHostIPs`. An empty zone is none.
#[must_use]
pub fn node(object: &api::Node) -> Converted<model::Node> {
    let name = SmolStr::new(object.metadata.name.as_deref().unwrap_or_default());
    let mut warnings = Warnings::of(ObjectId::Node(name.clone()));
    if !warnings.accept_name("metadata.name", &name) {
        return warnings.with(None);
    }

    let listed = object.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    let mut addresses = Vec::new();
    for kind in ["InternalIP", "ExternalIP"] {
        for (index, address) in listed.iter().enumerate().filter(|(_, address)| address.type_ == kind) {
            match parse_usable(&address.address) {
                Ok(parsed) if addresses.contains(&parsed) => {}
                Ok(parsed) => addresses.push(parsed),
                Err(why) => warnings.add(
                    format!("status.addresses[{index}].address"),
                    format!("{:?} {why}, ignored", address.address),
                ),
            }
        }
    }

    let spec = object.spec.as_ref();
    let listed = spec.and_then(|spec| spec.pod_cidrs.as_deref()).unwrap_or_default();
    let single = spec.and_then(|spec| spec.pod_cidr.as_ref());
    let pod_cidrs = if listed.is_empty() {
        parse_cidrs(single.map(std::slice::from_ref).unwrap_or_default(), |_, why| {
            warnings.add("spec.podCIDR", why);
        })
    } else {
        parse_cidrs(listed, |index, why| warnings.add(format!("spec.podCIDRs[{index}]"), why))
    };
    let zone = label(&object.metadata, ZONE).filter(|zone| !zone.is_empty()).map(SmolStr::new);
    warnings.with(Some(model::Node { name, zone, addresses, pod_cidrs }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn convert(value: Value) -> Converted<model::Node> {
        node(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_node_as_a_cluster_writes_it() {
        let converted = convert(json!({
            "metadata": {"name": "lab-node", "labels": {ZONE: "zone-a"}},
            "spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24", "fd00:10:244::/64"]},
            "status": {"addresses": [
                {"type": "ExternalIP", "address": "203.0.113.7"},
                {"type": "Hostname", "address": "lab-node"},
                {"type": "InternalIP", "address": "192.168.0.7"},
                {"type": "InternalIP", "address": "fd00::7"},
            ]},
        }));
        assert_eq!(converted.warnings, []);
        let node = converted.object.unwrap();
        assert_eq!(node.name, "lab-node");
        assert_eq!(node.zone.as_deref(), Some("zone-a"));
        assert_eq!(node.pod_cidrs, ["10.244.0.0/24", "fd00:10:244::/64"].map(|net| net.parse().unwrap()));
        let addresses: Vec<_> = node.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["192.168.0.7", "fd00::7", "203.0.113.7"]);
    }

    #[test]
    fn what_is_missing_or_wrong() {
        let bare = convert(
            json!({"metadata": {"name": "n", "labels": {ZONE: ""}}, "spec": {"podCIDR": "10.0.0.0/24"}}),
        );
        assert_eq!(bare.object.unwrap().pod_cidrs, ["10.0.0.0/24".parse().unwrap()]);

        let wrong = convert(json!({
            "metadata": {"name": "n"},
            "status": {"addresses": [{"type": "InternalIP", "address": "300.0.0.1"}]},
        }));
        assert!(wrong.object.unwrap().addresses.is_empty());
        assert_eq!(
            wrong.warnings[0].to_string(),
            "Node n: status.addresses[0].address: \"300.0.0.1\" is not an IP address, ignored"
        );

        for (spec, field) in [
            (json!({"podCIDR": "10.0.0.0"}), "spec.podCIDR"),
            (json!({"podCIDR": "10.0.0.0", "podCIDRs": ["10.0.0.0/8", ""]}), "spec.podCIDRs[1]"),
        ] {
            let wrong = convert(json!({"metadata": {"name": "n"}, "spec": spec}));
            assert_eq!(wrong.warnings.iter().map(|w| w.field.as_str()).collect::<Vec<_>>(), [field]);
        }

        let nameless = convert(json!({}));
        assert_eq!((nameless.object, nameless.warnings.len()), (None, 1));
    }
}
