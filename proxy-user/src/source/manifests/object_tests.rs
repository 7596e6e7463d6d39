//! Documents to objects, as tables: which kinds count, what is refused and with which words.

use super::*;
use serde_json::json;

/// Outcomes as `good Service default/web`, `broken ?`.
fn outcomes(found: &Found) -> Vec<String> {
    let text = |(_, outcome): &(Place, Outcome)| match outcome {
        Outcome::Good(id, _) => format!("good {id}"),
        Outcome::Ignored(id) => format!("ignored {id}"),
        Outcome::Broken(Some(id)) => format!("broken {id}"),
        Outcome::Broken(None) => "broken ?".into(),
    };
    found.outcomes.iter().map(text).collect()
}

fn problems(found: &Found) -> Vec<String> {
    found.problems.iter().map(ToString::to_string).collect()
}

fn read(value: Value) -> Found {
    let mut found = Found::default();
    let file = Place::file(std::path::Path::new("web.yaml"));
    found.read(&file.document(2), value);
    found
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]},
    })
}

/// The value with one field changed, by its JSON pointer.
fn with(mut value: Value, parent: &str, field: &str, new: Value) -> Value {
    value.pointer_mut(parent).unwrap()[field] = new;
    value
}

#[test]
fn each_kind() {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": [{"addresses": ["10.0.0.1"]}],
    });
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "namespace": "x"}});
    let cidr = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12"]},
    });
    let beta = with(cidr.clone(), "", "apiVersion", json!("networking.k8s.io/v1beta1"));
    let fqdn = with(slice.clone(), "", "addressType", json!("FQDN"));
    let table = [
        (service("web"), "good Service default/web"),
        (slice, "good EndpointSlice shop/web-1"),
        (fqdn, "ignored EndpointSlice shop/web-1"),
        (node, "good Node n"),
        (cidr, "good ServiceCIDR kubernetes"),
        (beta, "good ServiceCIDR kubernetes"),
    ];
    for (value, expected) in table {
        let found = read(value);
        assert_eq!(outcomes(&found), [expected]);
        assert_eq!(problems(&found), [""; 0]);
    }
}

#[test]
fn an_unnamed_port_of_a_slice_has_the_empty_name_as_in_the_api_server() {
    let found = read(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "ports": [{"port": 8080}], "endpoints": [],
    }));
    let Outcome::Good(_, Object::EndpointSlice(slice)) = &found.outcomes[0].1 else { panic!("{found:?}") };
    assert_eq!((slice.ports[0].name.as_str(), slice.ports[0].port), ("", 8080));
}

#[test]
fn a_kind_that_is_nearly_one_of_ours_is_a_warning() {
    for (version, kind, meant) in [
        ("v1", "service", "Service of v1"),
        ("v1", "EndpointSlice", "EndpointSlice of discovery.k8s.io/v1"),
        ("discovery.k8s.io/v1", "EndpointSlices", "EndpointSlice of discovery.k8s.io/v1"),
        ("networking.k8s.io/v1", "ServiceCidr", "ServiceCIDR of networking.k8s.io/v1"),
    ] {
        let found = read(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "web"}}));
        let text = format!("{kind} of {version} is not read; {meant} is: skipped");
        assert!(problems(&found)[0].ends_with(&text), "{:?}", problems(&found));
        assert_eq!(found.problems[0].severity, Severity::Warning);
    }
}

#[test]
fn kinds_of_no_interest_are_one_line() {
    for (version, kind) in [
        ("apps/v1", "Deployment"),
        ("serving.knative.dev/v1", "Service"),
        ("v1", "Endpoints"),
        ("networking.k8s.io/v1", "Ingress"),
    ] {
        let found = read(json!({"apiVersion": version, "kind": kind, "metadata": {"name": "web"}}));
        assert_eq!(outcomes(&found), [""; 0]);
        let line =
            format!("web.yaml, document 2 ({kind} web): not a kind that a service proxy reads, skipped");
        assert_eq!(problems(&found), [line]);
        assert_eq!(found.problems[0].severity, Severity::Info);
    }
    let nameless = read(json!({"apiVersion": "v1", "kind": "Pod"}));
    assert!(problems(&nameless)[0].starts_with("web.yaml, document 2 (Pod): not a kind"));
}

#[test]
fn what_is_refused_names_document_object_and_field() {
    let web = "broken Service default/web";
    let port = with(service("web"), "/spec/ports/0", "port", json!("http"));
    let table = [
        (
            port,
            web,
            " (Service default/web): spec.ports[0].port: invalid type: string \"http\", expected i32",
        ),
        (
            with(service("web"), "/spec", "ports", json!({"port": 80})),
            web,
            " (Service default/web): spec.ports: invalid type: map, expected a sequence",
        ),
        (
            with(service("web"), "", "apiVersion", json!("v2")),
            web,
            " (Service default/web): apiVersion: \"v2\" is not read, only v1",
        ),
        (
            json!({"apiVersion": "networking.k8s.io/v2", "kind": "ServiceCIDR", "metadata": {"name": "c"}}),
            "broken ServiceCIDR c",
            " (ServiceCIDR c): apiVersion: \"networking.k8s.io/v2\" is not read, only networking.k8s.io/v1",
        ),
        (with(service("web"), "", "kind", json!(null)), "broken ?", ": kind: is missing"),
        (with(service("web"), "", "apiVersion", json!("")), "broken ?", ": apiVersion: is missing"),
        (with(service("web"), "", "metadata", json!({})), "broken ?", ": metadata.name: is missing"),
        (with(service(""), "", "x", json!(null)), "broken ?", ": metadata.name: is missing"),
        (
            service("Web"),
            "broken ?",
            ": metadata.name: \"Web\" is not a name of lower-case letters, digits, '-' and '.'",
        ),
        (
            with(service("web"), "/metadata", "namespace", json!(5)),
            "broken ?",
            ": metadata.namespace: 5 is not a name of lower-case letters, digits, '-' and '.'",
        ),
        (json!([1]), "broken ?", ": is not an object"),
        (json!("text"), "broken ?", ": is not an object"),
        (json!({"apiVersion": "v1", "kind": "List", "items": 3}), "broken ?", ": items: is not a list"),
    ];
    for (value, outcome, problem) in table {
        let found = read(value.clone());
        assert_eq!(outcomes(&found), [outcome], "{value}");
        assert_eq!(problems(&found), [format!("web.yaml, document 2{problem}")], "{value}");
        assert_eq!(found.problems[0].severity, Severity::Error);
    }
}

#[test]
fn lists_are_their_members() {
    let untyped = json!({"metadata": {"name": "b"}, "spec": service("b")["spec"]});
    let inner = json!({"apiVersion": "v1", "kind": "List", "items": [service("c"), service("")]});
    let table = [
        (
            json!({"apiVersion": "v1", "kind": "List", "items": [service("a"), inner]}),
            3,
            Some("items[1].items[1]"),
        ),
        (json!({"apiVersion": "v1", "kind": "List", "items": [service("a"), untyped]}), 2, Some("items[1]")),
        (json!({"apiVersion": "v1", "kind": "ServiceList", "items": [service("a"), untyped]}), 2, None),
        (
            json!({
                "apiVersion": "networking.k8s.io/v1beta1", "kind": "ServiceCIDRList",
                "items": [{"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12"]}}],
            }),
            1,
            None,
        ),
        (json!({"apiVersion": "v1", "kind": "List", "items": []}), 0, None),
        (json!({"apiVersion": "v1", "kind": "NodeList"}), 0, None),
    ];
    for (value, members, broken) in table {
        let found = read(value.clone());
        assert_eq!(found.outcomes.len(), members, "{value}");
        let places: Vec<_> = found.problems.iter().map(|problem| problem.place.item.as_str()).collect();
        assert_eq!(places, Vec::from_iter(broken), "{value}");
    }
}

#[test]
fn fields_that_do_not_exist_are_warned_about() {
    let misspelt = with(service("web"), "/spec/ports/0", "nodeport", json!(30080));
    let found = read(misspelt);
    assert_eq!(outcomes(&found), ["good Service default/web"]);
    assert_eq!(
        problems(&found),
        ["web.yaml, document 2 (Service default/web): spec.ports[0].nodeport: unknown field, ignored"]
    );
}

#[test]
fn warnings_of_the_conversion_are_told_with_the_place() {
    let found = read(with(service("web"), "/spec", "type", json!("Magic")));
    assert_eq!(
        problems(&found),
        ["web.yaml, document 2 (Service default/web): spec.type: unknown type \"Magic\", taken as ClusterIP"]
    );
    assert_eq!(found.problems[0].severity, Severity::Warning);
}

#[test]
fn what_an_object_says_of_itself_stays_on_one_line() {
    let unknown = with(service("web"), "/spec", "port\ts\n", json!(80));
    let label = with(service("web"), "/metadata", "labels", json!({"a\u{1b}[2J": 5}));
    let kind = with(service("web"), "", "kind", json!("Po\nd"));
    let family = with(service("web"), "/spec", "ipFamilies", json!(["IPv\n4"]));
    for value in [unknown, label, kind, family] {
        let lines = problems(&read(value));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!lines[0].contains(char::is_control), "{lines:?}");
    }
}
