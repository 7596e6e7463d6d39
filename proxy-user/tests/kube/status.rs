//! What the agent says of itself beside a real API server: its Node, the time that changes take, requests.

use crate::{
    agent::{ACCOUNT, Agent},
    becomes,
    http::{Answer, ask_by},
    promtool,
    stage::Stage,
};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};

/// Asks on the first node.
fn get(stage: &Stage, port: u16, path: &str) -> Answer {
    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    stage.lan.node(0).run(|| ask_by(at, "GET", path)).unwrap().unwrap()
}

/// Statuses of /healthz, /livez and /readyz.
fn probes(stage: &Stage) -> [u16; 3] {
    ["/healthz", "/livez", "/readyz"].map(|path| get(stage, 10_256, path).status())
}

/// A sample of the metrics.
fn sample(stage: &Stage, name: &str) -> Option<f64> {
    let page = get(stage, 10_249, "/metrics").body;
    let samples = page.lines().filter_map(|line| line.rsplit_once(' '));
    samples.filter(|(of, _)| *of == name).find_map(|(_, value)| value.parse().ok())
}

#[test]
fn load_balancers_are_sent_away_from_a_node_that_leaves_or_is_gone_and_the_agent_lives_on() {
    let Some(stage) = Stage::new() else { return };
    // With nobody to ask it lives, as kube-proxy does then, and is not ready.
    let mut agent = Agent::prepare(&stage, 0, &stage.kubeconfig(ACCOUNT));
    stage.plane.kill();
    agent.begin();
    agent.process().wait_for("asked again");
    becomes("without lists", &[200, 200, 503], || probes(&stage));
    assert!(sample(&stage, "shunt_api_requests_total{verb=\"list\",outcome=\"no_answer\"}").unwrap() > 0.0);
    stage.plane.start_again().unwrap();
    agent.wait_until_ready();
    let node = format!("node/{}", stage.lan.node(0).name());
    becomes("all is well", &[200; 3], || probes(&stage));
    let taint = |taints| stage.kubectl().patch(&node, &json!({ "spec": { "taints": taints } }));
    taint(json!([{ "key": "ToBeDeletedByClusterAutoscaler", "effect": "PreferNoSchedule" }]));
    becomes("it is about to be deleted", &[503, 200, 200], || probes(&stage));
    taint(json!([{ "key": "another", "effect": "NoSchedule" }]));
    becomes("another taint", &[200; 3], || probes(&stage));
    stage.kubectl().run(&["delete", &node]);
    becomes("it is unknown", &[503, 200, 200], || probes(&stage));
    assert!(get(&stage, 10_256, "/healthz").body.contains("\"nodeEligible\":false,\"healthy\":true"));
    stage.kubectl().create(&stage.node_object(0));
    becomes("it is back", &[200; 3], || probes(&stage));
}

#[test]
fn metrics_tell_of_the_api_server_and_of_how_late_changes_are() {
    let Some(stage) = Stage::new() else { return };
    let _agent = stage.shunt(0);
    becomes("the agent answers", &200, || get(&stage, 10_256, "/readyz").status());
    let page = get(&stage, 10_249, "/metrics").body;
    promtool::accepts_page(&page);
    for family in include_str!("../golden/metrics-prometheus.txt").lines() {
        let Some((name, _)) = family.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        // What tells of faults is missing where there are none.
        assert!(name == "shunt_attachment_faults" || page.contains(&format!("# TYPE {name} ")), "{name}");
    }
    assert!(sample(&stage, "shunt_api_requests_total{verb=\"list\",outcome=\"accepted\"}").unwrap() > 0.0);
    assert!(sample(&stage, "shunt_api_received_bytes_total").unwrap() > 0.0);
    assert_eq!(sample(&stage, "shunt_api_deletions_held_back"), Some(0.0));
    assert!(sample(&stage, "shunt_api_last_contact_age_seconds").unwrap() < 120.0);

    // The EndpointSlice controller writes when the pod became ready; seconds are all that it writes.
    let late = |what: &str, family: &str| {
        let name = format!("kubeproxy_network_programming_duration_seconds_{what}{{ip_family=\"{family}\"}}");
        sample(&stage, &name).unwrap()
    };
    let before = ["IPv4", "IPv6"].map(|family| late("count", family));
    // What happened in the second in which the agent began is written as if it had been before, which does not count.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    stage.serve("web", "ClusterIP", &json!({}));
    let _pod = stage.pod(1, "web", "web-1");
    for (family, before) in ["IPv4", "IPv6"].into_iter().zip(before) {
        becomes(&format!("{family} is measured"), &true, || late("count", family) > before);
        let (sum, count) = (late("sum", family), late("count", family));
        assert!(sum < 30.0 * count, "{sum} s for {count} changes");
    }
    let pending = || {
        ["endpoint", "service"]
            .map(|of| sample(&stage, &format!("kubeproxy_sync_proxy_rules_{of}_changes_pending")).unwrap())
    };
    becomes("nothing waits", &[0.0; 2], pending);
}
