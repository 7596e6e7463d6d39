//! What `deploy/` asks a cluster for: the API server takes all of it, and the agent needs every rule of its role.

use crate::{
    agent::Agent,
    becomes,
    command::{said, wait_until},
    stage::{Stage, deploy},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How long an agent without a rule may take to do what one with all rules has done already.
const GRACE: Duration = Duration::from_secs(5);

/// An address in a range of ClusterIPs that a test adds.
const NOBODYS: &str = "10.97.0.77:80";

/// Directories that are a `Kustomization`, and no part of one.
fn kustomizations(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let own = fs::read_to_string(directory.join("kustomization.yaml")).unwrap_or_default();
    if own.contains("kind: Kustomization") {
        found.push(directory.to_owned());
    }
    for entry in fs::read_dir(directory).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        found.extend(kustomizations(&entry.path()));
    }
    found
}

#[test]
fn the_api_server_takes_everything_in_deploy() {
    let Some(stage) = Stage::new() else { return };
    let kubectl = stage.kubectl();
    let all = kustomizations(&deploy());
    assert!(all.len() > 5, "{all:?}");
    for directory in all {
        let path = directory.to_str().unwrap();
        let said = kubectl.run(&["apply", "--dry-run=server", "--validate=strict", "-k", path]);
        let daemon_sets = said.lines().filter(|line| line.starts_with("daemonset")).count();
        assert_eq!(daemon_sets, 1, "{path}: {said}");
    }
}

/// An agent whose role lacks something.
struct Variant<'a> {
    /// Of its ServiceAccount, its role and its Node.
    name: String,
    /// Group, resource and verb; nothing for the agent that has the whole role.
    lacks: Option<[String; 3]>,
    agent: Agent<'a>,
}

/// Every permission in the role.
fn permissions(role: &Value) -> BTreeSet<[String; 3]> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                all.extend(
                    texts(&rule["verbs"]).into_iter().map(|verb| [group.clone(), resource.clone(), verb]),
                );
            }
        }
    }
    all
}

/// A role of these permissions, who has it, and a Node of the same name.
fn objects(name: &str, permissions: &BTreeSet<[String; 3]>) -> Value {
    let rule = |[group, resource, verb]: &[String; 3]| json!({ "apiGroups": [group], "resources": [resource], "verbs": [verb] });
    let rbac = "rbac.authorization.k8s.io/v1";
    let account = json!({ "kind": "ServiceAccount", "name": name, "namespace": "kube-system" });
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name });
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": "kube-system" } },
        { "apiVersion": rbac, "kind": "ClusterRole", "metadata": { "name": name },
            "rules": permissions.iter().map(rule).collect::<Vec<_>>() },
        { "apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": { "name": name }, "roleRef": role,
            "subjects": [account] },
        { "apiVersion": "v1", "kind": "Node", "metadata": { "name": name },
            "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.11" }] } },
    ] })
}

impl<'a> Variant<'a> {
    fn start(
        stage: &'a Stage,
        number: usize,
        all: &BTreeSet<[String; 3]>,
        lacks: Option<[String; 3]>,
    ) -> Self {
        let name = format!("variant-{number}");
        let has: BTreeSet<_> = all.iter().filter(|one| Some(*one) != lacks.as_ref()).cloned().collect();
        let kubectl = stage.kubectl();
        kubectl.create(&objects(&name, &has));
        let kubeconfig = stage.kubeconfig(&name);
        let mut agent = Agent::prepare(stage, 0, &kubeconfig);
        agent.name.clone_from(&name);
        // They share a network namespace.
        agent.more = ["--interfaces", "none", "--healthz-address", "", "--metrics-address", ""]
            .map(str::to_owned)
            .into();
        agent.begin();
        Self { name, lacks, agent }
    }

    /// What it has not done, of what the cluster asks for.
    fn undone(&self, stage: &Stage) -> Vec<&'static str> {
        let mut undone = Vec::new();
        let mut look = |what, done: bool| {
            if !done {
                undone.push(what);
            }
        };
        look("ready", self.agent.is_ready());
        let dump = said(&["dump", "-o", "json", "--pin-path", &self.agent.site.pins()]).out;
        let dump: Value = serde_json::from_str(&dump).unwrap_or_default();
        let services = || dump["services"].as_array().into_iter().flatten();
        look("services", services().any(|port| port["name"] == "web"));
        look("endpoints", services().any(|port| port["name"] == "web" && port["any_usable"] == true));
        look("zone", dump["node"]["zone"] == "zone-z");
        let pins = self.agent.site.pins();
        let explained = said(&["explain", NOBODYS, "--from", "pod", "-o", "json", "--pin-path", &pins]).out;
        let explained: Value = serde_json::from_str(&explained).unwrap_or_default();
        look("service CIDR", explained["verdict"] == "drop");
        let field = format!("reason=Starting,involvedObject.name={}", self.name);
        let events = stage.kubectl().get(&["events", "-A", "--field-selector", &field]);
        look("event", events["items"].as_array().is_some_and(|events| !events.is_empty()));
        undone
    }
}

#[test]
fn the_agent_needs_every_rule_of_its_role() {
    // A server with streaming lists is not asked for others.
    let Some(stage) = Stage::with(&["--feature-gates=WatchList=false"]) else { return };
    let kubectl = stage.kubectl();
    let all = permissions(&kubectl.get(&["clusterrole", "shunt"]));
    assert!(all.len() > 4, "{all:?}");
    let lacking = all.iter().cloned().map(Some);
    let variants: Vec<_> = [None]
        .into_iter()
        .chain(lacking)
        .enumerate()
        .map(|(number, lacks)| Variant::start(&stage, number, &all, lacks))
        .collect();
    let whole = &variants[0];
    wait_until("the agent with the whole role is ready", || whole.agent.is_ready());

    stage.serve("web", "ClusterIP", &json!({}));
    let _pod = stage.pod(1, "web", "web-1");
    kubectl.create(&json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": { "name": "more" },
        "spec": { "cidrs": ["10.97.0.0/24"] },
    }));
    let nodes: Vec<_> = variants.iter().map(|variant| variant.name.as_str()).collect();
    kubectl.run(&[&["label", "nodes"], &nodes[..], &["topology.kubernetes.io/zone=zone-z"]].concat());
    becomes("undone by the agent with the whole role", &Vec::<&str>::new(), || whole.undone(&stage));

    thread::sleep(GRACE);
    for variant in &variants[1..] {
        let lacks = variant.lacks.as_ref().unwrap().join(" ");
        let undone = variant.undone(&stage);
        println!("without {lacks}: {}", undone.join(", "));
        assert!(!undone.is_empty(), "the agent does not need {lacks}");
    }
    // Each says so itself; it can do without ServiceCIDRs, and without Events it has nowhere to say it.
    let lacks_a_list = |variant: &&Variant<'_>| {
        let lacks = variant.lacks.as_ref().map(|[_, resource, _]| resource.as_str());
        lacks.is_some_and(|resource| !["servicecidrs", "events"].contains(&resource))
    };
    let wanted: BTreeSet<_> =
        variants.iter().filter(lacks_a_list).map(|variant| variant.name.clone()).collect();
    becomes("who says what is forbidden", &wanted, || {
        let events = kubectl.get(&["events", "-A", "--field-selector", "reason=ListForbidden"]);
        let about = |event: &Value| event["involvedObject"]["name"].as_str().unwrap().to_owned();
        events["items"].as_array().unwrap().iter().map(about).collect()
    });
}
