//! What lies in deploy/monitoring: rules that promtool accepts, each of them tried, and a dashboard that is JSON.

use super::promtool::accepts;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring")
}

/// Values of a key in a YAML file whose lists have one entry a line.
fn values(file: &str, key: &str) -> Vec<String> {
    let text = fs::read_to_string(directory().join(file)).unwrap();
    let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).map(str::to_owned).collect()
}

#[test]
fn promtool_accepts_the_alert_rules() {
    accepts(&["check", "rules", "alerts.yaml"], &directory(), "");
}

#[test]
fn every_alert_fires_when_it_should_and_not_before() {
    accepts(&["test", "rules", "alerts_test.yaml"], &directory(), "");
}

#[test]
fn every_alert_is_tried_and_says_what_to_do() {
    let alerts = values("alerts.yaml", "alert");
    let tried: BTreeSet<_> = values("alerts_test.yaml", "alertname").into_iter().collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    assert_eq!(alerts.iter().cloned().collect::<BTreeSet<_>>(), tried);
    for key in ["summary", "description", "severity"] {
        assert_eq!(values("alerts.yaml", key).len(), alerts.len(), "{key}");
    }
    let page = fs::read_to_string(directory().join("../../docs/metrics.md")).unwrap();
    for alert in alerts {
        assert!(page.contains(&format!("`{alert}`")), "docs/metrics.md says nothing of {alert}");
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_reads() {
    let text = fs::read_to_string(directory().join("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39, "of Grafana 11 or later");
    assert!(dashboard["id"].is_null() && dashboard["uid"].is_string() && dashboard["title"].is_string());
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "ids are distinct");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        let place = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        let [x, y, width, height] = place;
        assert!(x + width <= 24, "{title}");
        for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} covers another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(targets.iter().all(|target| !target["expr"].as_str().unwrap().is_empty()), "{title}");
    }
}

/// The dashboard's queries of all nodes, with so much time in place of Grafana's interval.
pub fn queries(interval: &str) -> Vec<String> {
    let text = fs::read_to_string(directory().join("dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries =
        targets.map(|target| target["expr"].as_str().unwrap().replace("[$__rate_interval]", interval));
    queries.map(|query| query.replace("$instance", ".*")).collect()
}

#[test]
fn promtool_accepts_the_queries_of_the_dashboard() {
    let queries = queries("[5m]");
    assert!(queries.len() > 10);
    let rules: String = queries
        .iter()
        .enumerate()
        .map(|(number, query)| {
            format!("  - record: query:{number}\n    expr: {}\n", serde_json::to_string(query).unwrap())
        })
        .collect();
    let scratch = tempfile::tempdir().unwrap();
    fs::write(scratch.path().join("queries.yaml"), format!("groups:\n- name: q\n  rules:\n{rules}")).unwrap();
    accepts(&["check", "rules", "queries.yaml"], scratch.path(), "");
}
