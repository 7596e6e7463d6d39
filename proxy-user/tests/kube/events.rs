//! What `kubectl get events` tells an operator.

use crate::{
    agent::{ACCOUNT, Agent},
    becomes, becomes_within, command,
    pod::Pod,
    stage::{HIDDEN_PORT, PORT, Stage},
};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv6Addr, TcpListener},
    time::Duration,
};

/// An address that two Services claim.
const CLAIMED: &str = "203.0.113.77";

/// Where a load balancer would ask for a Service's health.
const HEALTH_PORT: u16 = 30_999;

/// Services that a list will lack.
const MANY: usize = 12;

/// The text of the last Event of each reason that Shunt has written about an object.
pub fn events(stage: &Stage, kind: &str, name: &str) -> BTreeMap<String, String> {
    let about = format!("involvedObject.kind={kind},involvedObject.name={name}");
    let events = stage.kubectl().get(&["events", "-A", "--field-selector", &about]);
    let ours =
        events["items"].as_array().unwrap().iter().filter(|event| event["reportingComponent"] == "shunt");
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    ours.map(|event| (text(event, "reason"), text(event, "message"))).collect()
}

/// An agent may have backed off for long, when the API server is back.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits for an Event about an object, and returns its text.
#[track_caller]
pub fn told(stage: &Stage, kind: &str, name: &str, reason: &str) -> String {
    let mut told = BTreeMap::new();
    becomes_within(PATIENCE, &format!("{reason} is told at {kind} {name}"), &true, || {
        told = events(stage, kind, name);
        told.contains_key(reason)
    });
    told.remove(reason).unwrap()
}

/// What happens while an agent starts and serves.
fn in_service(stage: &Stage) -> (Agent<'_>, Pod) {
    let kubectl = stage.kubectl();
    let pod = stage.pod(1, "web", "web-1");
    let spec = json!({ "externalTrafficPolicy": "Local", "healthCheckNodePort": HEALTH_PORT });
    stage.serve("web", "LoadBalancer", &spec);
    for name in ["first", "second"] {
        stage.serve(name, "ClusterIP", &json!({ "selector": { "app": "web" }, "externalIPs": [CLAIMED] }));
        // The API server writes down seconds; who is older is to be seen.
        let created = kubectl.get(&["service", name])["metadata"]["creationTimestamp"].clone();
        becomes("a second later", &false, || {
            kubectl
                .run(&["create", "configmap", "clock", "--dry-run=server", "-o", "json"])
                .contains(created.as_str().unwrap())
        });
    }
    let taken =
        stage.lan.node(0).run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, HEALTH_PORT))).unwrap().unwrap();

    let mut agent = Agent::prepare(stage, 0, &stage.kubeconfig(ACCOUNT));
    let file = agent.site.directory.path().join("kube-proxy.yaml");
    let configuration = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
        "mode": "ipvs", "ipvs": { "scheduler": "lc" }, "enableProfiling": true,
    });
    fs::write(&file, configuration.to_string()).unwrap();
    agent.more = vec!["--kube-proxy-config".to_owned(), file.to_str().unwrap().to_owned()];
    agent.run();

    let name = agent.name.clone();
    let of_node = |reason| told(stage, "Node", &name, reason);
    assert!(of_node("Starting").contains("ready"));
    let ignored = of_node("ConfigIgnored");
    assert!(ignored.contains("ipvs.scheduler") && ignored.contains("enableProfiling"), "{ignored}");
    let port = told(stage, "Service", "web", "FailedToStartServiceHealthcheck");
    assert!(port.contains(&HEALTH_PORT.to_string()), "{port}");
    let conflict = told(stage, "Service", "second", "AddressConflict");
    assert!(conflict.contains(CLAIMED) && conflict.contains("first"), "{conflict}");
    assert_eq!(events(stage, "Service", "first").get("AddressConflict"), None, "the older one has it");
    drop(taken);
    (agent, pod)
}

#[test]
fn an_operator_reads_in_events_what_must_be_known() {
    let Some(stage) = Stage::new() else { return };
    let (mut agent, _pod) = in_service(&stage);

    // Another node has no room.
    let mut small = Agent::prepare(&stage, 1, &stage.kubeconfig(ACCOUNT));
    small.more = ["--max-endpoints", "1"].map(str::to_owned).into();
    small.run();
    let full = told(&stage, "Node", &small.name, "MapFull");
    assert!(full.contains("--max-endpoints"), "{full}");
    told(&stage, "Service", "web", "MapFull");
    assert!(!events(&stage, "Node", &agent.name).contains_key("MapFull"));

    // A list that lacks most of what was there.
    let kubectl = stage.kubectl();
    let service = |number| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": format!("many-{number}"), "labels": { "many": "yes" } },
            "spec": { "ports": [{ "port": 80 }] },
        })
    };
    let many: Vec<_> = (0..MANY).map(service).collect();
    kubectl.create(&json!({ "apiVersion": "v1", "kind": "List", "items": many }));
    let known = |agent: &Agent<'_>| agent.site.dump().matches("\"many-").count();
    becomes("the many are known", &true, || known(&agent) >= MANY);
    let before = known(&agent);
    stage.plane.kill();
    stage.plane.start_at(HIDDEN_PORT).unwrap();
    stage.kubectl().run(&["delete", "services", "-l", "many=yes"]);
    stage.plane.start_at(PORT).unwrap();
    let held = told(&stage, "Node", &agent.name, "ListHeldBack");
    assert!(held.contains(&format!("lacks {MANY} of")), "{held}");
    assert_eq!(known(&agent), before, "nothing was deleted");
    command::signal(agent.process().id(), Signal::USR1);
    let released = told(&stage, "Node", &agent.name, "ListReleased");
    assert!(released.contains("operator") && released.contains(&format!("{MANY} deleted")), "{released}");
    becomes("the many are gone", &0, || known(&agent));
}
