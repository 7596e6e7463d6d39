//! What goes wrong between a node and its API server, and between objects.

use crate::{
    agent::{ACCOUNT, Agent},
    becomes, becomes_within,
    pod::Pod,
    stage::{HIDDEN_PORT, PORT, Stage, TARGET},
    traffic::{Traffic, answers, names},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use shunt::lab::{Place, run};
use std::{net::SocketAddr, process::Command, thread, time::Duration};

/// How long a node may take to find out that nobody is there any more, or that a new token is.
const FOUND_OUT: Duration = Duration::from_secs(120);

/// A Service with two pods of which one is ready, on the stage's first node.
struct Scene<'a> {
    stage: &'a Stage,
    agent: Agent<'a>,
    spare: Pod,
    first: Pod,
    to: SocketAddr,
}

impl<'a> Scene<'a> {
    fn new(stage: &'a Stage) -> Self {
        let agent = stage.shunt(0);
        stage.serve("web", "ClusterIP", &json!({}));
        let [first, spare] = ["web-1", "web-2"].map(|name| stage.pod(1, "web", name));
        spare.set_ready(stage, false);
        let scene = Self { stage, agent, spare, first, to: stage.cluster_ips("web")[0] };
        becomes("at first", &names(["web-1"]), || answers(&scene.client(), scene.to));
        scene
    }

    fn client(&self) -> Place {
        self.agent.node()
    }

    /// Runs `trouble` while a client connects, none of whose connections fails; makes a change, and waits until it is
    /// followed.
    fn survives(&self, trouble: impl FnOnce()) {
        let traffic = Traffic::start("a client", self.client(), self.to);
        trouble();
        self.spare.set_ready(self.stage, true);
        let both = names(["web-1", "web-2"]);
        becomes_within(FOUND_OUT, "followed again", &both, || answers(&self.client(), self.to));
        traffic.assert_served();
        let wanted = self.agent.made_from_scratch(&self.stage.kubectl());
        becomes("the maps", &wanted, || self.agent.site.dump());
    }
}

#[test]
fn a_service_that_is_made_again_with_its_address_is_the_new_one() {
    let Some(stage) = Stage::new() else { return };
    let scene = Scene::new(&stage);
    let _other = stage.pod(1, "other", "other-1");
    let ips: Vec<_> = stage.cluster_ips("web").iter().map(SocketAddr::ip).collect();
    let kubectl = stage.kubectl();
    for round in 0..3 {
        for (app, name) in [("other", "other-1"), ("web", "web-1")] {
            kubectl.run(&["delete", "service", "web"]);
            let spec = json!({ "clusterIP": ips[0], "clusterIPs": ips, "selector": { "app": app } });
            stage.serve("web", "ClusterIP", &spec);
            becomes(&format!("round {round}"), &names([name]), || answers(&scene.client(), scene.to));
        }
    }
    // The same under another name: the old slices stay behind for a while.
    kubectl.run(&["delete", "service", "web"]);
    let spec = json!({ "clusterIP": ips[0], "clusterIPs": ips, "selector": { "app": "other" } });
    stage.serve("renamed", "ClusterIP", &spec);
    becomes("another name", &names(["other-1"]), || answers(&scene.client(), scene.to));
    let wanted = scene.agent.made_from_scratch(&kubectl);
    becomes("the maps", &wanted, || scene.agent.site.dump());
}

#[test]
fn a_slice_may_come_before_its_service_and_stay_after_it() {
    let Some(stage) = Stage::new() else { return };
    let scene = Scene::new(&stage);
    let kubectl = stage.kubectl();
    kubectl.create(&json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": "by-hand-1", "labels": {
            "kubernetes.io/service-name": "by-hand", "endpointslice.kubernetes.io/managed-by": "a-test" } },
        "ports": [{ "name": "http", "protocol": "TCP", "port": TARGET }],
        "endpoints": [{ "addresses": [scene.first.ipv4()] }],
    }));
    // Long enough for a node to have seen it.
    thread::sleep(Duration::from_secs(1));
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "by-hand" },
        "spec": { "ports": [{ "name": "http", "port": 80 }] },
    });
    kubectl.create(&service);
    let to = stage.cluster_ips("by-hand")[0];
    becomes("the slice was first", &names(["web-1"]), || answers(&scene.client(), to));

    kubectl.run(&["delete", "service", "by-hand"]);
    becomes("nothing of the Service is left", &false, || scene.agent.site.dump().contains("by-hand"));
    service["spec"]["clusterIP"] = Value::from(to.ip().to_string());
    kubectl.create(&service);
    becomes("the slice was there all the time", &names(["web-1"]), || answers(&scene.client(), to));
}

#[test]
fn a_watch_whose_past_is_forgotten_begins_anew() {
    let Some(stage) = Stage::new() else { return };
    let scene = Scene::new(&stage);
    scene.survives(|| {
        let kubectl = stage.kubectl();
        let list = kubectl.run(&["get", "--raw", "/apis/discovery.k8s.io/v1/endpointslices?limit=1"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        stage.plane.kill();
        // Changes before it is there again for the node, and a server that knows nothing of what was before it.
        stage.plane.start_at(HIDDEN_PORT).unwrap();
        stage.serve("new", "ClusterIP", &json!({ "selector": { "app": "web" } }));
        becomes("slices", &false, || stage.endpoints("new", ToString::to_string).is_empty());
        stage.plane.start_at(PORT).unwrap();
        let path = "/apis/discovery.k8s.io/v1/endpointslices?watch=1&timeoutSeconds=2&resourceVersion=";
        let said = stage.kubectl().run(&["get", "--raw", &format!("{path}{version}")]);
        assert!(said.contains("\"code\":410"), "{said}");
    });
}

#[test]
fn an_api_server_that_hangs_is_waited_for() {
    let Some(stage) = Stage::new() else { return };
    let scene = Scene::new(&stage);
    scene.survives(|| {
        let id = Pid::from_raw(stage.plane.api_server_id().unwrap().try_into().unwrap()).unwrap();
        kill_process(id, Signal::STOP).unwrap();
        thread::sleep(Duration::from_secs(10));
        kill_process(id, Signal::CONT).unwrap();
    });
}

#[test]
fn a_connection_that_died_in_silence_is_found_out() {
    let Some(stage) = Stage::new() else { return };
    let scene = Scene::new(&stage);
    let link = |state: &str| {
        let mut command = Command::new("ip");
        command.args(["link", "set", "client-101", state]);
        let done = run(stage.lan.switch(), &mut command, Duration::from_secs(10)).unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    scene.survives(|| {
        // No FIN and no reset crosses: for the node its watches are as quiet as ever.
        link("down");
        stage.plane.start_again().unwrap();
        link("up");
    });
}

#[test]
fn a_token_that_is_no_longer_good_is_read_again() {
    let Some(stage) = Stage::new() else { return };
    let scene = Scene::new(&stage);
    scene.survives(|| {
        // A token is good only as long as the ServiceAccount that it was made for.
        let kubectl = stage.kubectl();
        kubectl.run(&["delete", "serviceaccount", ACCOUNT, "--namespace", "kube-system"]);
        kubectl.run(&["create", "serviceaccount", ACCOUNT, "--namespace", "kube-system"]);
        stage.plane.start_again().unwrap();
        thread::sleep(Duration::from_secs(3));
        // As the kubelet does with the token of a pod.
        stage.plane.credentials().set_token(ACCOUNT, &stage.token(ACCOUNT)).unwrap();
    });
}
