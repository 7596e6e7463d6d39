//! `shunt run` in a storm: what it logs, and where it ends.

use crate::{
    command::{Site, shunt, skipped, wait_until},
    objects::NODE,
    server::Server,
};
use serde_json::json;
use shunt::{kernel::PinnedMaps, view::decode};
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

const SERVICES: u32 = 30;
const TIMES: u32 = 400;

#[test]
fn an_agent_keeps_up_sums_up_and_ends_where_the_cluster_is() {
    if skipped() {
        return;
    }
    let services: Vec<_> = (1..=SERVICES).map(|number| (format!("svc-{number}"), number)).collect();
    let (site, server) = (Site::new(), Server::start(&services));
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": server.url()}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    });
    let file = site.directory.path().join("kubeconfig");
    fs::write(&file, config.to_string()).unwrap();
    let mut command = shunt(&["run", "--node", NODE, "--startup-spread", "0s", "--interfaces", "none"]);
    command.arg("--kubeconfig").arg(file).arg("--cgroup").arg(site.cgroup.path());
    command.args(["--pin-path", &site.pins(), "--healthz-address", "", "--metrics-address", ""]);
    let agent = site.start_command(command);
    let mut watch = server.watch();
    let mut version = 1;
    for _ in 0..TIMES {
        for (name, _) in &services {
            version += 1;
            watch.send(name, version);
        }
    }
    let newest = |number: u32| {
        let [_, b, c, d] = (version - SERVICES + number).to_be_bytes();
        SocketAddr::from(([10, b + 128, c, d], 8_080))
    };
    wait_until("the maps hold the newest of each", || {
        let ports = decode(&PinnedMaps::read_only(Path::new(&site.pins())).unwrap()).unwrap();
        let held: BTreeMap<_, _> = ports
            .iter()
            .map(|port| (port.id.as_ref().unwrap().service.name.to_string(), &port.cluster))
            .collect();
        (1..=SERVICES).all(|number| *held[&format!("svc-{number}")] == [newest(number)])
    });
    let updates = (SERVICES * TIMES) as usize;
    let lines = |text: &str| agent.log().lines().filter(|line| line.contains(text)).count();
    // Twenty lines, and one in five seconds.
    assert!(lines("applied changes") <= 20 + 6, "{}", agent.log());
    wait_until("the rest is told at leisure", || {
        let stores = |line: &str| line.split_once(" stores=")?.1.split(' ').next()?.parse::<usize>().ok();
        let log = agent.log();
        let told: usize =
            log.lines().filter(|line| line.contains("applied changes")).filter_map(stores).sum();
        // Three for each change that was programmed, at least one of each Service.
        assert!(told <= 3 * updates);
        told >= 3 * SERVICES as usize
    });
    assert_eq!(lines("ERROR") + lines("WARN"), 0, "{}", agent.log());
    assert!(agent.stop().success());
}
