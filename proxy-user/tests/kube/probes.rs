//! Probes and metrics of an agent that follows a real API server.

use crate::{
    agent::{ACCOUNT, Agent},
    becomes,
    http::{METRICS, PROBES, samples, status},
    stage::Stage,
    traffic::{answers, names},
};
use serde_json::json;
use shunt::lab::Place;

/// What the cluster autoscaler puts on a Node that it is about to delete.
const TAINT: &str = "ToBeDeletedByClusterAutoscaler";

/// Statuses of /healthz, /livez and /readyz.
fn probes(node: &Place) -> [u16; 3] {
    ["/healthz", "/livez", "/readyz"].map(|path| status(node, PROBES, path))
}

#[test]
fn probes_and_metrics_say_what_happens_to_the_cluster() {
    let Some(stage) = Stage::new() else { return };
    stage.serve("web", "ClusterIP", &json!({}));
    let [one, two] = ["web-1", "web-2"].map(|name| stage.pod(1, "web", name));
    let to = stage.cluster_ips("web")[0];

    // Nobody to ask: it lives, as kube-proxy does then, and is not ready.
    let kubeconfig = stage.kubeconfig(ACCOUNT);
    stage.plane.kill();
    let mut agent = Agent::prepare(&stage, 0, &kubeconfig);
    agent.begin();
    let node = agent.node();
    becomes("without an API server", &[200, 200, 503], || probes(&node));
    let asked_in_vain = |samples: &std::collections::BTreeMap<String, f64>| {
        samples.iter().any(|(name, count)| name.contains("outcome=\"no_answer\"") && *count > 0.0)
    };
    becomes("it asks in vain", &true, || asked_in_vain(&samples(&node)));
    stage.plane.start_again().unwrap();
    agent.wait_until_ready();
    becomes("with all lists", &[200, 200, 200], || probes(&node));
    becomes("served", &names(["web-1", "web-2"]), || answers(&node, to));
    assert_eq!(status(&node, METRICS, "/proxyMode"), 200);

    let kubectl = stage.kubectl();
    kubectl.run(&["taint", "node", &agent.name, &format!("{TAINT}=now:NoSchedule")]);
    becomes("about to be deleted", &[503, 200, 200], || probes(&node));
    kubectl.run(&["taint", "node", &agent.name, &format!("{TAINT}-")]);
    becomes("kept after all", &[200, 200, 200], || probes(&node));

    // Each change of an endpoint takes some time to arrive.
    let count = |name: &str| samples(&node).get(name).copied().unwrap_or_default();
    let programming = r#"kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"}"#;
    for (ready, wanted) in [(false, names(["web-2"])), (true, names(["web-1", "web-2"]))] {
        let (before, changes) = (count(programming), count(CHANGES));
        one.set_ready(&stage, ready);
        becomes("followed", &wanted, || answers(&node, to));
        becomes("the change is measured", &true, || count(programming) > before);
        assert!(count(CHANGES) > changes);
    }
    drop(two);

    for verb in ["list", "watch"] {
        let accepted = count(&format!(r#"shunt_api_requests_total{{outcome="accepted",verb="{verb}"}}"#));
        let all: Vec<_> =
            samples(&node).into_iter().filter(|(name, _)| name.starts_with("shunt_api")).collect();
        assert!(verb == "list" || accepted >= 4.0, "{verb}: {all:?}");
    }
}

const CHANGES: &str = "kubeproxy_sync_proxy_rules_endpoint_changes_total";
