//! The agent: it closes the sockets of backends that a changed manifest has removed, and of those that
//! went while no agent ran.

use crate::{
    command::{Site, skipped},
    pods::{BOTH, PORT, Pods, assert_moved},
};
use serde_json::{Value, json};
use shunt::kernel;
use std::net::IpAddr;

/// A UDP Service of both families over these pods.
fn manifest(pods: &Pods, serving: &[usize]) -> String {
    let items: Vec<Value> = ["IPv4", "IPv6"]
        .into_iter()
        .flat_map(|family| {
            let (name, cluster_ip) =
                if family == "IPv4" { ("dns4", "10.96.0.53") } else { ("dns6", "fd00:96::53") };
            let endpoints = serving.iter().map(|pod| {
                let pod = pods.lab.pod(*pod);
                let ip = if family == "IPv4" { IpAddr::from(pod.ipv4()) } else { pod.ipv6().into() };
                json!({"addresses": [ip]})
            });
            [
                json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
                    "clusterIPs": [cluster_ip], "ipFamilies": [family],
                    "ports": [{"name": "dns", "protocol": "UDP", "port": 53}]}}),
                json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
                    "metadata": {"name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
                    "ports": [{"name": "dns", "protocol": "UDP", "port": PORT}],
                    "endpoints": endpoints.collect::<Vec<_>>()}),
            ]
        })
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[test]
fn the_agent_closes_what_its_changes_and_its_absence_left() {
    if skipped() {
        return;
    }
    let (site, pods) = (Site::new(), Pods::new());
    site.save("dns.json", &manifest(&pods, &BOTH));
    let mut agent = site.start(&site.manifests(), &[]);
    let clients = pods.clients(&site.cgroup);
    site.save("dns.json", &manifest(&pods, &[1]));
    agent.wait_for("closed connected UDP sockets");
    assert_moved(clients, 0);

    // Dropping it kills it.
    drop(agent);
    site.save("dns.json", &manifest(&pods, &BOTH));
    let agent = site.start(&site.manifests(), &[]);
    let clients = pods.clients(&site.cgroup);
    drop(agent);
    site.save("dns.json", &manifest(&pods, &[0]));
    let mut agent = site.start(&site.manifests(), &[]);
    agent.wait_for("closed connected UDP sockets");
    assert_moved(clients, 1);
    assert!(agent.stop().success());
    kernel::remove(&site.bpffs.path().join("shunt")).unwrap();
}
