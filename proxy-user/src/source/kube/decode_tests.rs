//! Reading objects, frames, lists and refusals.

use super::*;
use serde_json::json;

#[test]
fn a_frame_is_read_the_same_however_it_is_written() {
    let object = r#"{"metadata":{"name":"a","x":["}","{"]}}"#;
    let expected = Frame { type_: "ADDED".into(), object };
    let usual = format!(r#"{{"type":"ADDED","object":{object}}}"#);
    assert_eq!(usual_frame(usual.as_bytes()).unwrap(), expected);
    for text in [
        usual,
        format!(r#" {{ "type" : "ADDED" , "object" :{object}}} "#),
        format!(r#"{{"object":{object},"type":"ADDED"}}"#),
        format!(r#"{{"type":"ADDE\u0044","object":{object}}}"#),
    ] {
        assert_eq!(frame(text.as_bytes()).unwrap(), expected, "{text}");
    }
    for bad in ["", "{}", "null", "<html>", r#"{"type":"ADDED"}"#, r#"{"type":"ADDED","object":}"#, "\u{0}"] {
        assert!(frame(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(frame(&[b'{', 0xff, b'}']).is_err());
    // What the short way lets through is no object.
    let odd = frame(br#"{"type":"ADDED","object":{"a":1},"b":{}}"#).unwrap();
    assert!(super::object(Kind::Services, odd.object).is_err());
}

#[test]
fn names_and_versions() {
    let json = json!({"metadata": {"name": "a", "namespace": "n", "resourceVersion": "7"}}).to_string();
    for kind in Kind::ALL {
        let Ok(decoded) = object(kind, &json) else { panic!("{kind}") };
        assert_eq!((decoded.name.name.as_str(), decoded.version.as_str()), ("a", "7"));
    }
    assert_eq!(name(&json), Some(ObjectName::new("n", "a")));
    assert_eq!(name(r#"{"metadata":{"name":"a"},"spec":7}"#), Some(ObjectName::new("default", "a")));
    for nameless in ["", "7", "{}", r#"{"metadata":{"name":""}}"#, r#"{"metadata":{"name":7}}"#] {
        assert_eq!(name(nameless), None, "{nameless}");
    }
}

#[test]
fn trimmed_types_read_what_the_full_ones_do() {
    let named = |rest: serde_json::Value| {
        let mut object = json!({"metadata": {"name": "a", "namespace": "n", "labels": {
            "kubernetes.io/service-name": "web", "other": "x"}, "annotations": null}});
        for (key, value) in rest.as_object().unwrap() {
            object[key] = value.clone();
        }
        object.to_string()
    };
    let port = |port: serde_json::Value| json!({"spec": {"clusterIP": "10.0.0.1", "ports": [port]}});
    for text in [
        named(json!({})),
        named(json!({"spec": null, "status": null})),
        named(json!({"spec": {"ports": null, "clusterIPs": ["10.0.0.1", "fd00::1"], "ipFamilies": null}})),
        named(port(json!({"port": 80, "name": "h\u{e9}\"", "appProtocol": "x", "targetPort": "x"}))),
        named(port(json!({"port": "80"}))),
        named(port(json!({"name": "x"}))),
        named(json!({"spec": {"sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 9}}, "externalIPs": ["203.0.113.1", 7]}})),
        named(
            json!({"spec": {"type": "LoadBalancer", "healthCheckNodePort": 7, "externalTrafficPolicy": "Local"},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1", "ipMode": "Proxy"}, {"hostname": "x"}]}}}),
        ),
        named(json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-02T03:04:05Z"}})),
        named(json!({"metadata": {"name": "a", "creationTimestamp": "yesterday"}})),
        named(json!({"addressType": "IPv4", "ports": null, "endpoints": null})),
        named(
            json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1", "10.0.0.2"], "hints": null,
            "conditions": {"ready": null, "serving": false}, "nodeName": null, "zone": "z"}, {"addresses": []}]}),
        ),
        named(json!({"addressType": "IPv4", "ports": [{"name": "x", "port": 1, "protocol": null}, {}],
            "endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "z"}], "forNodes": null}}]})),
        named(json!({"addressType": 4})),
        named(json!({"spec": {"podCIDRs": ["10.0.0.0/24"], "taints": [{"key": "k", "effect": "e"}]},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.7"}]}})),
        named(json!({"spec": {"cidrs": ["10.0.0.0/8"]}})),
    ] {
        let read = |kind| object(kind, &text).ok().map(|decoded| (decoded.applied, decoded.warnings));
        macro_rules! full {
            ($convert:path, $event:path) => {
                serde_json::from_str(&text).ok().map(|full| {
                    let Converted { object, warnings } = $convert(&full);
                    (object.map($event), warnings)
                })
            };
        }
        assert_eq!(read(Kind::Services), full!(kubernetes::service, Event::ServiceApplied), "{text}");
        assert_eq!(
            read(Kind::EndpointSlices),
            full!(kubernetes::endpoint_slice, Event::SliceApplied),
            "{text}"
        );
        assert_eq!(read(Kind::Node), full!(kubernetes::node, Event::NodeApplied), "{text}");
        assert_eq!(
            read(Kind::ServiceCidrs),
            full!(kubernetes::service_cidr, Event::ServiceCidrApplied),
            "{text}"
        );
    }
}

#[test]
fn bookmarks_lists_and_refusals() {
    let mark = bookmark(r#"{"kind":"Service","metadata":{"resourceVersion":"9","creationTimestamp":null}}"#);
    let mark = mark.ok().unwrap();
    assert_eq!((mark.version.as_str(), mark.initial_events_end), ("9", false));
    assert!(bookmark("{}").is_err());
    let read =
        list(br#"{"kind":"L","metadata":{"resourceVersion":"9","continue":"c","remainingItemCount":4}}"#);
    let read = read.ok().unwrap().metadata;
    assert_eq!((read.resource_version.as_str(), read.token.as_str()), ("9", "c"));
    let status = Status::read(br#"{"code":429,"message":"m","details":{"retryAfterSeconds":5,"name":"x"}}"#);
    assert_eq!((status.code, status.retry_after()), (429, Some(std::time::Duration::from_secs(5))));
    assert_eq!(Status::read(b"<html>").code, 0);
}
