//! Service conversion, as tables: what the API may hold, what the model gets.

use super::*;
use crate::model::{ObjectName, Protocol};
use serde_json::{Value, json};

fn convert(value: Value) -> Converted<model::Service> {
    service(&serde_json::from_value(value).unwrap())
}

/// A ClusterIP Service with one port, and `changes` laid over its spec.
fn with_spec(changes: Value) -> Value {
    let mut spec = json!({"clusterIP": "10.96.0.10", "ports": [{"port": 80}]});
    for (key, value) in changes.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
}

/// Fields that were warned about.
fn fields<T>(converted: &Converted<T>) -> Vec<&str> {
    converted.warnings.iter().map(|warning| warning.field.as_str()).collect()
}

fn texts(addresses: &[IpAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn a_service_as_a_cluster_writes_it() {
    let converted = convert(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "web", "namespace": "shop", "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": "web"},
        },
        "spec": {
            "type": "LoadBalancer",
            "clusterIP": "10.96.0.10",
            "clusterIPs": ["10.96.0.10", "fd00:10:96::10"],
            "ipFamilies": ["IPv4", "IPv6"],
            "ports": [
                {"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080},
                {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 5353, "nodePort": 30053},
            ],
            "externalIPs": ["203.0.113.1"],
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Cluster",
            "healthCheckNodePort": 31000,
            "loadBalancerSourceRanges": [" 10.0.0.0/8 ", "fd00::/8"],
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
        },
        "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.1", "ipMode": "VIP"}]}},
    }));
    assert_eq!(converted.warnings, []);
    assert_eq!(
        converted.object.unwrap(),
        model::Service {
            name: ObjectName::new("shop", "web"),
            created: 1_767_323_045,
            foreign_proxy: false,
            kind: ServiceType::LoadBalancer,
            headless: false,
            cluster_ips: vec!["10.96.0.10".parse().unwrap(), "fd00:10:96::10".parse().unwrap()],
            ports: vec![
                ServicePort {
                    name: "http".into(),
                    protocol: Protocol::Tcp,
                    port: 80,
                    node_port: Some(30080)
                },
                ServicePort { name: "dns".into(), protocol: Protocol::Udp, port: 53, node_port: Some(30053) },
            ],
            external_ips: vec!["203.0.113.1".parse().unwrap()],
            load_balancer_ips: vec!["198.51.100.1".parse().unwrap()],
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Local,
            affinity_seconds: Some(60),
            source_ranges: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
            health_check_node_port: Some(31000),
        }
    );
}

#[test]
fn names_and_labels() {
    let bare = convert(
        json!({"metadata": {"name": "web"}, "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 1}]}}),
    );
    assert_eq!(bare.object.unwrap().name, ObjectName::new("default", "web"));

    let nameless = convert(json!({"metadata": {"generateName": "web-"}}));
    assert_eq!((fields(&nameless), &nameless.object), (vec!["metadata.name"], &None));
    // `a/b` in the maps' text of a service port would be the Service `b` of the namespace `a`.
    for (metadata, field) in [
        (json!({"name": "a/b"}), "metadata.name"),
        (json!({"name": "web", "namespace": "a/b"}), "metadata.namespace"),
    ] {
        let refused = convert(json!({"metadata": metadata}));
        assert_eq!((fields(&refused), &refused.object), (vec![field], &None));
    }

    let spec_less = convert(json!({"metadata": {"name": "web"}}));
    assert_eq!(fields(&spec_less), ["spec.clusterIP", "spec.ports"]);

    for value in ["", "other"] {
        let mut object = with_spec(json!({}));
        object["metadata"]["labels"] = json!({PROXY_NAME: value});
        assert!(convert(object).object.unwrap().foreign_proxy, "{value:?}");
    }
}

#[test]
fn cluster_addresses() {
    let two = ["10.96.0.10", "fd00:10:96::10"];
    let table: [(Value, &[&str], &[&str]); 14] = [
        (json!({}), &two[..1], &[]),
        (json!({"clusterIPs": two}), &two, &[]),
        (json!({"clusterIPs": []}), &two[..1], &[]),
        (json!({"clusterIPs": two, "ipFamilies": ["IPv4", "IPv6"]}), &two, &[]),
        (json!({"clusterIPs": two, "ipFamilies": ["IPv4"]}), &two[..1], &["spec.clusterIPs[1]"]),
        (
            json!({"clusterIPs": two, "ipFamilies": ["IPv6", "IPv4"]}),
            &[],
            &["spec.clusterIPs[0]", "spec.clusterIPs[1]"],
        ),
        (json!({"clusterIP": "fd00:10:96::10", "ipFamilies": ["IPv6"]}), &two[1..], &[]),
        (json!({"clusterIPs": ["10.96.0.10", "10.96.0.11"]}), &two[..1], &["spec.clusterIPs[1]"]),
        (json!({"clusterIPs": ["10.96.0.10", "nonsense"]}), &two[..1], &["spec.clusterIPs[1]"]),
        (json!({"clusterIP": "10.96.0.11", "clusterIPs": two}), &two, &["spec.clusterIP"]),
        (json!({"clusterIP": "010.096.000.010"}), &two[..1], &[]),
        (json!({"clusterIP": ""}), &[], &["spec.clusterIP"]),
        (json!({"clusterIP": null}), &[], &["spec.clusterIP"]),
        (json!({"clusterIP": "0.0.0.0"}), &[], &["spec.clusterIP"]),
    ];
    for (changes, expected, warned) in table {
        let converted = convert(with_spec(changes.clone()));
        assert_eq!(fields(&converted), warned, "{changes}");
        let object = converted.object.unwrap();
        assert_eq!(texts(&object.cluster_ips), expected, "{changes}");
        assert!(!object.headless, "{changes}");
    }
}

#[test]
fn services_that_are_not_programmed_give_no_warnings() {
    let headless = [
        json!({"clusterIP": "None"}),
        json!({"clusterIP": "None", "clusterIPs": ["None"], "ports": null}),
        json!({"clusterIP": "", "clusterIPs": ["None"]}),
    ];
    for changes in headless {
        let converted = convert(with_spec(changes.clone()));
        assert_eq!(converted.warnings, [], "{changes}");
        let object = converted.object.unwrap();
        assert!(object.headless && object.cluster_ips.is_empty(), "{changes}");
    }
    let alias = convert(with_spec(json!({"type": "ExternalName", "clusterIP": "10.96.0.10", "ports": null})));
    assert_eq!(alias.warnings, []);
    assert_eq!(alias.object.unwrap().kind, ServiceType::ExternalName);
}

#[test]
fn unknown_values_become_the_default() {
    let object = |changes| convert(with_spec(changes));
    for (name, kind) in [
        ("ClusterIP", ServiceType::ClusterIp),
        ("NodePort", ServiceType::NodePort),
        ("LoadBalancer", ServiceType::LoadBalancer),
        ("Magic", ServiceType::ClusterIp),
    ] {
        let converted = object(json!({"type": name}));
        assert_eq!(converted.warnings.len(), usize::from(name == "Magic"), "{name}");
        assert_eq!(converted.object.unwrap().kind, kind);
    }
    for (value, policy) in [
        ("Cluster", TrafficPolicy::Cluster),
        ("Local", TrafficPolicy::Local),
        ("local", TrafficPolicy::Cluster),
    ] {
        let converted = object(json!({"internalTrafficPolicy": value, "externalTrafficPolicy": value}));
        assert_eq!(converted.warnings.len(), 2 * usize::from(value == "local"), "{value}");
        let object = converted.object.unwrap();
        assert_eq!((object.internal_policy, object.external_policy), (policy, policy));
    }
}

#[test]
fn affinity_timeouts() {
    let timeout = |seconds: Value| json!({"clientIP": {"timeoutSeconds": seconds}});
    let table = [
        (json!(null), json!(null), None, 0),
        (json!("None"), timeout(json!(5)), None, 0),
        (json!("ClientIP"), json!(null), Some(10_800), 0),
        (json!("ClientIP"), json!({"clientIP": null}), Some(10_800), 0),
        (json!("ClientIP"), timeout(json!(null)), Some(10_800), 0),
        (json!("ClientIP"), timeout(json!(1)), Some(1), 0),
        (json!("ClientIP"), timeout(json!(86_400)), Some(86_400), 0),
        (json!("ClientIP"), timeout(json!(86_401)), Some(86_400), 1),
        (json!("ClientIP"), timeout(json!(0)), Some(10_800), 1),
        (json!("ClientIP"), timeout(json!(-1)), Some(10_800), 1),
        (json!("clientip"), json!(null), None, 1),
    ];
    for (affinity, config, expected, warnings) in table {
        let changes = json!({"sessionAffinity": affinity, "sessionAffinityConfig": config});
        let converted = convert(with_spec(changes.clone()));
        assert_eq!(converted.warnings.len(), warnings, "{changes}");
        assert_eq!(converted.object.unwrap().affinity_seconds, expected, "{changes}");
    }
}

#[test]
fn ports_out_of_range_or_twice() {
    let port = |name: &str, protocol: Protocol, port: u16, node_port: Option<u16>| ServicePort {
        name: name.into(),
        protocol,
        port,
        node_port,
    };
    let table: [(Value, Vec<ServicePort>, &[&str]); 12] = [
        (json!([{"port": 0}]), vec![], &["spec.ports[0].port"]),
        (
            json!([{"port": 65536}, {"name": "b", "port": 65535}]),
            vec![port("b", Protocol::Tcp, 65535, None)],
            &["spec.ports[0].port"],
        ),
        (json!([{"port": -80}]), vec![], &["spec.ports[0].port"]),
        (json!([{"port": 80, "name": "a/b"}]), vec![], &["spec.ports[0].name"]),
        (json!([{"port": 80, "name": "é"}]), vec![], &["spec.ports[0].name"]),
        (json!([{"port": 80, "name": "x".repeat(64)}]), vec![], &["spec.ports[0].name"]),
        (json!([{"port": 80, "protocol": "tcp"}]), vec![], &["spec.ports[0].protocol"]),
        (json!([{"port": 80, "nodePort": 0}]), vec![port("", Protocol::Tcp, 80, None)], &[]),
        (
            json!([{"port": 80, "nodePort": 70000}]),
            vec![port("", Protocol::Tcp, 80, None)],
            &["spec.ports[0].nodePort"],
        ),
        (
            json!([{"name": "dns", "port": 53}, {"name": "dns", "port": 53, "protocol": "UDP"}]),
            vec![port("dns", Protocol::Tcp, 53, None), port("dns", Protocol::Udp, 53, None)],
            &[],
        ),
        (
            json!([{"name": "a", "port": 80}, {"name": "a", "port": 81}]),
            vec![port("a", Protocol::Tcp, 81, None)],
            &["spec.ports[1].name"],
        ),
        (json!([]), vec![], &["spec.ports"]),
    ];
    for (ports, expected, warned) in table {
        let converted = convert(with_spec(json!({"ports": ports.clone()})));
        assert_eq!(fields(&converted), warned, "{ports}");
        assert_eq!(converted.object.unwrap().ports, expected, "{ports}");
    }
    let health = convert(with_spec(json!({"healthCheckNodePort": 65536})));
    assert_eq!(fields(&health), ["spec.healthCheckNodePort"]);
    assert_eq!(health.object.unwrap().health_check_node_port, None);
}

#[test]
fn load_balancer_and_external_addresses() {
    let table: [(Value, &[&str], &[&str]); 7] = [
        (json!({"ip": "198.51.100.1"}), &["198.51.100.1"], &[]),
        (json!({"ip": "198.51.100.1", "ipMode": "VIP"}), &["198.51.100.1"], &[]),
        (json!({"ip": "198.51.100.1", "ipMode": "Proxy"}), &[], &[]),
        (json!({"ip": "198.51.100.1", "ipMode": "Magic"}), &[], &["status.loadBalancer.ingress[0].ipMode"]),
        (json!({"hostname": "lb.example"}), &[], &[]),
        (json!({"ip": "", "hostname": "lb.example"}), &[], &[]),
        (json!({"ip": "lb.example"}), &[], &["status.loadBalancer.ingress[0].ip"]),
    ];
    for (ingress, expected, warned) in table {
        let mut object = with_spec(json!({}));
        object["status"] = json!({"loadBalancer": {"ingress": [ingress.clone()]}});
        let converted = convert(object);
        assert_eq!(fields(&converted), warned, "{ingress}");
        assert_eq!(texts(&converted.object.unwrap().load_balancer_ips), expected, "{ingress}");
    }

    let external = convert(with_spec(json!({"externalIPs": ["203.0.113.001", "x", "fd00::1"]})));
    assert_eq!(fields(&external), ["spec.externalIPs[1]"]);
    assert_eq!(texts(&external.object.unwrap().external_ips), ["203.0.113.1", "fd00::1"]);
}

#[test]
fn a_source_range_that_is_none_is_left_out_and_named() {
    let convert = |ranges| convert(with_spec(json!({"loadBalancerSourceRanges": ranges})));
    let texts = |converted: &Converted<model::Service>| -> Vec<String> {
        converted.warnings.iter().map(ToString::to_string).collect()
    };
    let converted = convert(json!(["\t010.001.0.9/8\n", "10.0.0.0/99"]));
    let invalid = "spec.loadBalancerSourceRanges[1]: \"10.0.0.0/99\" is not a CIDR, ignored";
    assert_eq!(texts(&converted), [format!("Service shop/web: {invalid}")]);
    assert_eq!(converted.object.unwrap().source_ranges, ["10.0.0.0/8".parse().unwrap()]);

    let none_left = convert(json!(["everyone"]));
    assert!(texts(&none_left)[1].ends_with("every client may use the load balancer's addresses"));
    assert!(none_left.object.unwrap().source_ranges.is_empty());
}
