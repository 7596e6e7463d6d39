//! `shunt run` says how it is: probes from another network namespace, a scrape on the node, while it starts, works and ends.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;
#[path = "health_check_servers/http.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod http;
#[path = "status_servers/promtool.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod promtool;

use command::{Agent, Site, copy_examples, skipped, wait_until};
use http::{Answer, ask_by, status};
use shunt::lab::{Lab, Namespace};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

struct Scene {
    site: Site,
    /// A load balancer asks from pod 0.
    lab: Lab,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { site: Site::new(), lab: Lab::new(1).unwrap() };
        copy_examples(&scene.site.manifests());
        scene
    }

    fn start(&self, more: &[&str]) -> Agent {
        let mut command = self.site.run(&self.site.manifests(), more);
        self.lab.node().enter_command(&mut command);
        self.site.start_command(command)
    }

    /// Asks on the node.
    fn get(&self, port: u16, path: &str) -> Answer {
        let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        self.lab.node().run(|| ask_by(at, "GET", path)).unwrap().unwrap()
    }

    /// A sample of a page of metrics.
    fn sample(&self, name: &str) -> Option<f64> {
        let page = self.get(10_249, "/metrics").body;
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.rsplit_once(' ')).find(|(of, _)| *of == name)?.1.parse().ok()
    }

    fn is_open(&self, port: u16) -> bool {
        let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        self.lab.node().run(|| status(at).is_some()).unwrap()
    }
}

const OPEN: [&str; 4] = ["--healthz-address", "0.0.0.0:10256", "--metrics-address", "127.0.0.1:10249"];

#[test]
fn an_agent_says_how_it_is_from_start_to_end() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let agent = scene.start(&OPEN);
    wait_until("the servers listen", || scene.is_open(10_256) && scene.is_open(10_249));
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(scene.get(10_256, path).status(), 200, "{path}");
        for node in [scene.lab.node().ipv4().into(), scene.lab.node().ipv6().into()] {
            let ask = || ask_by(SocketAddr::new(node, 10_256), "GET", path).map(|answer| answer.status());
            assert_eq!(scene.lab.pod(0).run(ask).unwrap().unwrap(), 200, "{path} at {node}");
        }
    }
    let from_outside = SocketAddr::new(scene.lab.node().ipv4().into(), 10_249);
    assert!(!scene.lab.pod(0).run(|| status(from_outside).is_some()).unwrap(), "metrics stay on the node");

    assert_eq!(scene.get(10_249, "/proxyMode").body, "shunt");
    let configuration: serde_json::Value = serde_json::from_str(&scene.get(10_249, "/configz").body).unwrap();
    assert!(configuration.to_string().contains("lab-node"), "{configuration}");

    let page = scene.get(10_249, "/metrics").body;
    promtool::accepts_page(&page);
    for family in include_str!("golden/metrics-prometheus.txt").lines() {
        let Some((name, _)) = family.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        let is_told = page.contains(&format!("# TYPE {name} "));
        let is_missing = name.starts_with("shunt_api_") || name == "shunt_attachment_faults";
        assert_eq!(is_told, !is_missing, "{name}: there is no API server, and nothing is the matter");
    }
    assert_eq!(scene.sample("shunt_attachments_in_effect{to=\"cgroup\"}"), Some(11.0));
    assert_eq!(
        scene.sample("kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}"),
        Some(1.0)
    );
    assert_eq!(scene.sample("kubeproxy_sync_proxy_rules_service_changes_pending"), Some(0.0));

    let (changes, ports) =
        ("kubeproxy_sync_proxy_rules_service_changes_total", "shunt_map_entries{map=\"SERVICES\"}");
    let before = [changes, ports].map(|name| scene.sample(name).unwrap());
    scene.site.save(
        "more.yaml",
        "{apiVersion: v1, kind: Service, metadata: {name: more}, spec: {clusterIP: 10.96.7.7, ports: [{port: 80}]}}\n",
    );
    wait_until("it is programmed", || scene.sample(ports) == Some(before[1] + 1.0));
    assert_eq!(scene.sample(changes), Some(before[0] + 1.0));
    std::fs::remove_file(scene.site.manifests().join("more.yaml")).unwrap();
    wait_until("its room is free again", || scene.sample(ports) == Some(before[1]));
    let synced = ["last_queued_timestamp", "last_timestamp"].map(|which| {
        scene.sample(&format!("kubeproxy_sync_proxy_rules_{which}_seconds{{ip_family=\"IPv6\"}}")).unwrap()
    });
    assert!(synced[0] > 1.7e9 && synced[1] >= synced[0], "{synced:?}");

    drop(agent);
    wait_until("its ports are free", || !scene.is_open(10_256) && !scene.is_open(10_249));
}

#[test]
fn ports_that_somebody_has_are_named_and_taken_later_and_nothing_waits_for_them() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let squatter =
        |port: u16| scene.lab.node().run(|| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap()).unwrap();
    let squatters = [squatter(10_256), squatter(10_249)];
    let mut agent = scene.start(&OPEN);
    for server in
        ["healthz server cannot listen on 0.0.0.0:10256", "metrics server cannot listen on 127.0.0.1:10249"]
    {
        agent.wait_for(server);
    }
    drop(squatters);
    wait_until("the servers listen", || scene.is_open(10_256) && scene.is_open(10_249));
    assert_eq!(scene.get(10_256, "/readyz").status(), 200);
}

#[test]
fn empty_addresses_answer_nowhere() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start(&["--healthz-address", "", "--metrics-address", ""]);
    assert!(!scene.is_open(10_256) && !scene.is_open(10_249));
}

/// Or else an alert would be raised for a device that is gone.
#[test]
fn devices_are_wanted_and_in_effect_as_they_come_and_go_without_a_change_of_services() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start(&[&OPEN[..], &["--interfaces", "up*"]].concat());
    wait_until("metrics are told", || scene.is_open(10_249));
    let devices = || {
        ["wanted", "in_effect"]
            .map(|which| scene.sample(&format!("shunt_attachments_{which}{{to=\"device\"}}")).unwrap())
    };
    assert_eq!(devices(), [0.0, 0.0]);
    let peer = Namespace::new("peer").unwrap();
    for (device, count) in [("up0", 1.0), ("up1", 2.0)] {
        scene.lab.node().connect(device, &peer, device).unwrap();
        wait_until(&format!("{device} is attached to"), || devices() == [count, count]);
    }
    scene.lab.node().remove_device("up0").unwrap();
    wait_until("up0 is forgotten", || devices() == [1.0, 1.0]);
}
