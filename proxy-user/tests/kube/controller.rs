//! The control plane alone: what a test of Shunt takes for granted.

use crate::{
    becomes,
    kubectl::Kubectl,
    stage::{Stage, tools},
    traffic::names,
};
use serde_json::json;
use shunt::lab::control_plane::{ControlPlane, Options};
use std::path::Path;

fn ready(stage: &Stage, service: &str) -> crate::traffic::Answers {
    let named = stage.endpoints(service, |endpoint| {
        let pod = endpoint["targetRef"]["name"].as_str().unwrap().to_owned();
        (endpoint["conditions"]["ready"] == true).then_some(pod)
    });
    named.into_iter().flatten().collect()
}

#[test]
fn a_control_plane_may_be_on_the_loopback_address_of_the_machine() {
    let Some(tools) = tools() else { return };
    let plane = ControlPlane::start(Options::on_loopback(tools)).unwrap();
    let kubectl = Kubectl(plane.kubectl().unwrap());
    kubectl.create(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "lab" } }));
    plane.start_again().unwrap();
    kubectl.run(&["get", "namespace", "lab"]);
    let id = plane.api_server_id().unwrap();
    drop(plane);
    assert!(!Path::new("/proc").join(id.to_string()).exists());
}

#[test]
fn the_real_controller_makes_slices_of_pods_as_their_kubelet_reports_them() {
    let Some(stage) = Stage::new() else { return };
    stage.serve("web", "ClusterIP", &json!({}));
    let [one, two] = [(0, "web-1"), (1, "web-2")].map(|(node, name)| stage.pod(node, "web", name));
    becomes("ready", &names(["web-1", "web-2"]), || ready(&stage, "web"));
    one.set_ready(&stage, false);
    becomes("one is not", &names(["web-2"]), || ready(&stage, "web"));

    // The API server crashes and comes back: everything goes on where it was.
    stage.plane.kill();
    assert!(!stage.kubectl().succeeds(&["get", "nodes"]));
    stage.plane.start_again().unwrap();
    one.set_ready(&stage, true);
    becomes("both are again", &names(["web-1", "web-2"]), || ready(&stage, "web"));

    two.delete(&stage);
    becomes("it terminates", &names(["web-1"]), || ready(&stage, "web"));
    two.ended(&stage);
    becomes("it is gone", &1, || stage.endpoints("web", |endpoint| endpoint["addresses"].to_string()).len());
}
