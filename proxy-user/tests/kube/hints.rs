//! Topology: hints that the real controller writes.

use crate::{
    becomes,
    stage::{Stage, ZONES},
    traffic::{answers, names},
};
use serde_json::{Value, json};
use shunt::lab::Place;

fn hinted<'a>(kind: &'a str, name: &'a str) -> impl Fn(&Value) -> String + 'a {
    move |endpoint| {
        let hints = endpoint["hints"][kind].as_array();
        hints.into_iter().flatten().filter_map(|hint| hint[name].as_str()).collect()
    }
}

#[test]
fn traffic_stays_in_the_zone_or_on_the_node_as_hints_say() {
    let Some(stage) = Stage::new() else { return };
    let agents = [stage.shunt(0), stage.shunt(1)];
    stage.serve("web", "NodePort", &json!({ "trafficDistribution": "PreferSameZone" }));
    let [near, other, far] =
        [(0, "near"), (0, "other"), (1, "far")].map(|(node, name)| stage.pod(node, "web", name));
    let both_zones = ZONES.map(str::to_owned).into();
    becomes("zones in hints", &both_zones, || stage.endpoints("web", hinted("forZones", "name")));
    let to = stage.cluster_ips("web")[0];
    let here = names(["near", "other"]);
    becomes("the first zone", &here, || answers(&agents[0].node(), to));
    becomes("the second zone", &names(["far"]), || answers(&agents[1].node(), to));
    // A client outside meets the node's zone.
    let port = stage.node_ports("web", 0)[0];
    becomes("from outside", &here, || answers(&Place::from(stage.lan.client()), port));

    // The last of a zone goes: its clients are served from elsewhere, and come back with it.
    far.set_ready(&stage, false);
    becomes("an empty zone", &here, || answers(&agents[1].node(), to));
    far.set_ready(&stage, true);
    becomes("served again", &names(["far"]), || answers(&agents[1].node(), to));

    stage.kubectl().patch("service/web", &json!({ "spec": { "trafficDistribution": "PreferSameNode" } }));
    let nodes = ["node-1".to_owned(), "node-2".to_owned()].into();
    becomes("nodes in hints", &nodes, || stage.endpoints("web", hinted("forNodes", "name")));
    becomes("the first node", &here, || answers(&agents[0].node(), to));
    near.delete(&stage);
    becomes("one drains", &names(["other"]), || answers(&agents[0].node(), to));
    other.set_ready(&stage, false);
    // Its own terminating pod is no better than a ready one elsewhere.
    becomes("none is ready here", &names(["far"]), || answers(&agents[0].node(), to));

    stage.kubectl().patch("service/web", &json!({ "spec": { "trafficDistribution": null } }));
    other.set_ready(&stage, true);
    let anywhere = names(["far", "other"]);
    becomes("without hints", &anywhere, || answers(&agents[0].node(), to));
    becomes("without hints", &anywhere, || answers(&agents[1].node(), to));
}
