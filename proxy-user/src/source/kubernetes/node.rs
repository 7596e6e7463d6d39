//! Node → [`model::Node`].

use super::{
    Converted, ObjectId,
    address::{parse_cidrs, parse_usable},
    api,
    converted::Warnings,
};
use crate::model;
use k8s_openapi::api::core::v1 as core;
use smol_str::SmolStr;

const ZONE: &str = "topology.kubernetes.io/zone";
/// Taint of a node that the cluster's autoscaler is about to remove, whatever its effect.
const SCALED_DOWN: &str = "ToBeDeletedByClusterAutoscaler";

/// A Node. Internal addresses come before external ones, each in their order: the first of a family is
/// the node's primary address, as in kube-proxy's `GetNodeHostIPs`. An empty zone is none.
#[must_use]
pub fn node(object: &core::Node) -> Converted<model::Node> {
    convert(&object.into())
}

pub(in crate::source) fn convert(object: &api::Node<'_>) -> Converted<model::Node> {
    let name = SmolStr::new(object.metadata.name.as_deref().unwrap_or_default());
    let mut warnings = Warnings::of(ObjectId::Node(name.clone()));
    if !warnings.accept_name("metadata.name", &name) {
        return warnings.with(None);
    }

    let listed = object.status.as_ref().and_then(|status| status.addresses.as_deref()).unwrap_or_default();
    let mut addresses = Vec::new();
    for kind in ["InternalIP", "ExternalIP"] {
        for (index, address) in listed.iter().enumerate() {
            if address.type_.as_deref() != Some(kind) {
                continue;
            }
            let address = address.address.as_deref().unwrap_or_default();
            match parse_usable(address) {
                Ok(parsed) if addresses.contains(&parsed) => {}
                Ok(parsed) => addresses.push(parsed),
                Err(why) => warnings
                    .add(format!("status.addresses[{index}].address"), format!("{address:?} {why}, ignored")),
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
    let zone = object.metadata.label(ZONE).filter(|zone| !zone.is_empty()).map(SmolStr::new);
    let leaving = object.metadata.deletion_timestamp.is_some() || is_scaled_down(spec);
    warnings.with(Some(model::Node { name, zone, addresses, pod_cidrs, leaving }))
}

fn is_scaled_down(spec: Option<&api::NodeSpec<'_>>) -> bool {
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    taints.iter().any(|taint| taint.key.as_deref() == Some(SCALED_DOWN))
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
    fn a_node_that_is_about_to_go() {
        let metadata = json!({"name": "n"});
        let deleted = json!({"name": "n", "deletionTimestamp": "2026-01-02T03:04:05Z"});
        let taints = |keys: &[&str]| json!({"taints": keys.iter().map(|key| json!({"key": key, "effect": "NoSchedule"})).collect::<Vec<_>>()});
        for (metadata, spec, leaving) in [
            (&metadata, json!({}), false),
            (
                &metadata,
                taints(&["node.kubernetes.io/unreachable", "DeletionCandidateOfClusterAutoscaler"]),
                false,
            ),
            (&metadata, taints(&["a", SCALED_DOWN]), true),
            (&deleted, json!({}), true),
        ] {
            let converted = convert(json!({"metadata": metadata, "spec": spec}));
            assert_eq!(converted.object.unwrap().leaving, leaving, "{metadata} {spec}");
        }
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
