//! A real Prometheus scrapes an agent's metrics, with the alert rules, and answers the queries of the dashboard.

use super::{
    exposition::{api, start, worked},
    free,
    http::{ask_by, wait_until},
    monitoring::{directory, queries},
    options,
};
use serde_json::Value;
use shunt::{
    lab::Process,
    server::{MetricsPages, MetricsServer},
    table::Usage,
    writer::Capacities,
};
use std::{
    fs,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

/// One that scrapes `target` as node-a; `None`, said loudly, where there is none.
struct Prometheus {
    at: SocketAddr,
    _process: Process,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Option<Self> {
        let (at, directory) = (free("127.77.5.2"), tempfile::tempdir().unwrap());
        let rules = directory_of_rules();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{rules}]\nscrape_configs:\n\
             - job_name: shunt\n  static_configs: [{{targets: ['{target}'], labels: {{instance: node-a}}}}]\n"
        );
        let path = directory.path().join("prometheus.yaml");
        fs::write(&path, config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", path.display())).arg(format!("--web.listen-address={at}"));
        command.arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()));
        command.current_dir(directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match Process::start(&mut command) {
            Ok(process) => Some(Self { at, _process: process, _directory: directory }),
            Err(error) => {
                assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "prometheus: {error}");
                eprintln!("SKIPPED: prometheus: {error}; it is in Debian's package prometheus");
                None
            }
        }
    }

    /// `data` of an answer; `None` while it does not answer.
    fn get(&self, path: &str) -> Option<Value> {
        let answer = ask_by(self.at, "GET", path).ok().filter(|answer| answer.status() == 200)?;
        // The answer may come in chunks.
        let body = answer.body.get(answer.body.find('{')?..=answer.body.rfind('}')?)?;
        serde_json::from_str::<Value>(body).ok().map(|mut answer| answer["data"].take())
    }

    /// What a query finds.
    fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = self.get(&format!("/api/v1/query?query={encoded}"));
        found.unwrap_or_else(|| panic!("{query}"))["result"].as_array().unwrap().clone()
    }
}

fn directory_of_rules() -> String {
    directory().canonicalize().unwrap().join("alerts.yaml").display().to_string()
}

#[test]
fn prometheus_reads_every_sample_and_the_dashboard_finds_them() {
    let metrics = worked();
    metrics.filled(Usage::default(), Capacities::default());
    metrics.limited(64 << 20);
    metrics.aged(10, 4);
    let at = free("127.77.5.1");
    let pages = MetricsPages { api: Some(Box::new(api)), ..MetricsPages::default() };
    let _server = MetricsServer::start(at, options(), metrics.clone(), pages, |_| {}).unwrap();
    let Some(prometheus) = Prometheus::start(at) else { return };
    wait_until("it answers", || prometheus.get("/api/v1/targets").is_some());
    wait_until("three scrapes", || {
        let found = prometheus.query("count_over_time(up{job=\"shunt\"}[1m])");
        found.first().is_some_and(|count| count["value"][1].as_str().unwrap().parse::<u32>().unwrap() >= 3)
    });
    let targets = prometheus.get("/api/v1/targets").unwrap();
    let target = &targets["activeTargets"][0];
    assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{target}");

    // It asks for OpenMetrics, which has types that the classic format has not.
    let metadata = prometheus.get("/api/v1/metadata").unwrap();
    for (name, kind) in [
        ("shunt_build", "info"),
        ("shunt_sync_failures", "counter"),
        ("shunt_map_entries", "gauge"),
        ("kubeproxy_network_programming_duration_seconds", "histogram"),
    ] {
        assert_eq!(metadata[name][0]["type"], kind, "{name}");
    }
    let late = prometheus.query("kubeproxy_network_programming_duration_seconds_sum{ip_family=\"IPv4\"}");
    assert_eq!(late[0]["value"][1], "2");

    // What the kernel says is missing here, and what is filtered may find nothing.
    let from_kernel = ["no_local_endpoints", "_memory_bytes", "attachments", "datapath_events"];
    let mut found = 0;
    for query in queries("[6s]") {
        let samples = prometheus.query(&query);
        let may_be_empty = query.contains("> 0") || from_kernel.iter().any(|name| query.contains(name));
        assert!(!samples.is_empty() || may_be_empty || query.contains("quantile"), "{query}");
        found += usize::from(!samples.is_empty());
    }
    assert!(found > 15, "{found}");
    let rules = prometheus.get("/api/v1/rules").unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(rules.len() > 5 && rules.iter().all(|rule| rule["health"] != "err"), "{rules:?}");
    // A sync was asked for a second after the last one that succeeded.
    let waits = |rule: &Value| rule["name"] == "ShuntNotProgramming" && rule["state"] == "pending";
    assert!(rules.iter().any(waits), "{rules:?}");

    metrics.synced(&Default::default(), Duration::ZERO, false, start() + Duration::from_secs(60));
    wait_until("it waits no more", || {
        let rules = prometheus.get("/api/v1/rules").unwrap();
        !rules["groups"][0]["rules"].as_array().unwrap().iter().any(waits)
    });
}
