//! An Event as the API server takes it: `events.k8s.io/v1`.

use super::{About, Notice};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

/// Who reports: `reportingController`.
const CONTROLLER: &str = "shunt";
/// Longest `note`, bytes (kubernetes/pkg/apis/core/validation/events.go).
const NOTE: usize = 1_024;
/// Longest `reportingInstance`, bytes; the same file.
const INSTANCE: usize = 128;
/// Longest name of an object, bytes.
const NAME: usize = 253;
/// Events about objects without a namespace lie in this one.
const DEFAULT_NAMESPACE: &str = "default";

/// The namespace to post to, and the body.
pub(super) fn body(notice: &Notice, node: &str, now: Timestamp) -> (String, Value) {
    let (kind, namespace, name) = match &notice.about {
        About::Node => ("Node", None, node),
        About::Service(name) => ("Service", Some(name.namespace.as_str()), name.name.as_str()),
    };
    // As client-go names them: the object, and the time in hexadecimal digits.
    let suffix = format!(".{:x}", now.as_nanosecond());
    let mut regarding = json!({"apiVersion": "v1", "kind": kind, "name": name});
    if let Some(namespace) = namespace {
        regarding["namespace"] = namespace.into();
    } else {
        // What the kubelet and kube-proxy write, so that `kubectl describe node` finds it.
        regarding["uid"] = name.into();
    }
    let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
    let body = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": format!("{}{suffix}", cut(name, NAME - suffix.len())), "namespace": namespace},
        "eventTime": format!("{now:.6}"),
        "reportingController": CONTROLLER,
        "reportingInstance": cut(&format!("{CONTROLLER}-{node}"), INSTANCE),
        "type": if notice.reason.is_warning() { "Warning" } else { "Normal" },
        "reason": notice.reason.word(),
        "action": notice.reason.action(),
        "regarding": regarding,
        "note": cut(&notice.note, NOTE),
    });
    (namespace.to_owned(), body)
}

/// At most so many bytes of a text, ending between characters.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::ObjectName, recorder::Reason};
    use k8s_openapi::api::events::v1::Event;

    fn time() -> Timestamp {
        Timestamp::new(1_790_000_000, 123_456_789).unwrap()
    }

    #[test]
    fn an_event_about_a_service() {
        let name = ObjectName { namespace: "prod".into(), name: "web".into() };
        let (namespace, body) = body(&Notice::service(&name, Reason::MapFull, "no room"), "n1", time());
        assert_eq!(namespace, "prod");
        assert_eq!(
            body,
            json!({
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": {"name": "web.18d75b842b4ecd15", "namespace": "prod"},
                "eventTime": "2026-09-21T14:13:20.123456Z",
                "reportingController": "shunt",
                "reportingInstance": "shunt-n1",
                "type": "Warning",
                "reason": "MapFull",
                "action": "ProgramService",
                "regarding": {"apiVersion": "v1", "kind": "Service", "namespace": "prod", "name": "web"},
                "note": "no room",
            })
        );
        serde_json::from_value::<Event>(body).unwrap();
    }

    #[test]
    fn an_event_about_the_node_lies_in_the_default_namespace() {
        let (namespace, body) = body(&Notice::node(Reason::Starting, "ready"), "n1", time());
        assert_eq!((namespace.as_str(), &body["type"]), ("default", &json!("Normal")));
        assert_eq!(body["regarding"], json!({"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1"}));
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let node = "n".repeat(253);
        let (_, body) = body(&Notice::node(Reason::Starting, "é".repeat(1_000)), &node, time());
        let length = |field: &Value| field.as_str().unwrap().len();
        assert_eq!(length(&body["metadata"]["name"]), 253);
        assert_eq!(length(&body["reportingInstance"]), 128);
        assert_eq!(length(&body["note"]), 1_024);
    }
}
