//! ServiceCIDR → [`model::ServiceCidr`].

use super::{Converted, ObjectId, address::parse_cidrs, api, converted::Warnings};
use crate::model;
use k8s_openapi::api::networking::v1 as networking;
use smol_str::SmolStr;

/// A ServiceCIDR, also one that is being deleted: while it is there, Services may have addresses of it.
#[must_use]
pub fn service_cidr(object: &networking::ServiceCIDR) -> Converted<model::ServiceCidr> {
    convert(&object.into())
}

pub(in crate::source) fn convert(object: &api::ServiceCidr<'_>) -> Converted<model::ServiceCidr> {
    let name = SmolStr::new(object.metadata.name.as_deref().unwrap_or_default());
    let mut warnings = Warnings::of(ObjectId::ServiceCidr(name.clone()));
    if !warnings.accept_name("metadata.name", &name) {
        return warnings.with(None);
    }
    let listed = object.spec.as_ref().and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default();
    let cidrs = parse_cidrs(listed, |index, why| warnings.add(format!("spec.cidrs[{index}]"), why));
    warnings.with(Some(model::ServiceCidr { name, cidrs }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn convert(value: Value) -> Converted<model::ServiceCidr> {
        service_cidr(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_service_cidr_as_a_cluster_writes_it_also_while_it_is_deleted() {
        let mut object = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes", "finalizers": ["networking.k8s.io/service-cidr-finalizer"]},
            "spec": {"cidrs": ["10.96.0.0/12", "fd00:10:96::/112"]},
            "status": {"conditions": [{
                "type": "Ready", "status": "True", "reason": "", "message": "",
                "lastTransitionTime": "2026-01-02T03:04:05Z",
            }]},
        });
        let expected = model::ServiceCidr {
            name: "kubernetes".into(),
            cidrs: vec!["10.96.0.0/12".parse().unwrap(), "fd00:10:96::/112".parse().unwrap()],
        };
        let converted = convert(object.clone());
        assert_eq!((converted.object, converted.warnings), (Some(expected.clone()), vec![]));
        object["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:06Z");
        assert_eq!(convert(object).object, Some(expected));
    }

    #[test]
    fn what_is_missing_or_wrong() {
        let wrong =
            convert(json!({"metadata": {"name": "c"}, "spec": {"cidrs": ["010.96.0.1/12", "10.96.0.0"]}}));
        assert_eq!(wrong.object.unwrap().cidrs, ["10.96.0.0/12".parse().unwrap()]);
        assert_eq!(
            wrong.warnings[0].to_string(),
            "ServiceCIDR c: spec.cidrs[1]: \"10.96.0.0\" is not a CIDR, ignored"
        );
        let bare = convert(json!({"metadata": {"name": "c"}}));
        assert_eq!((bare.object.unwrap().cidrs, bare.warnings), (vec![], vec![]));
        let nameless = convert(json!({}));
        assert_eq!((nameless.object, nameless.warnings.len()), (None, 1));
    }
}
