//! What others rely on: names, types, help texts and labels, held to files that people have read.

use super::{
    exposition::{everything, outline},
    golden,
};
use shunt::server::Format;
use std::{collections::BTreeSet, fs, path::PathBuf};

/// Names of all families, as the classic format has them.
pub fn families() -> BTreeSet<String> {
    let text = everything(Format::Classic);
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Every word of a text that looks like a metric's name, without the suffixes of a histogram's samples.
pub fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_' && letter != ':');
    let prefixes = ["kubeproxy_", "shunt_", "process_"];
    let names = words.filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)));
    let suffixes = ["_bucket", "_sum", "_count"];
    let family = |name: &str| {
        let stem = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
        stem.filter(|stem| stem.ends_with("_duration_seconds")).unwrap_or(name).to_owned()
    };
    names.map(family).collect()
}

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn names_types_help_and_labels_are_as_written_down() {
    golden::compare("metrics-openmetrics.txt", &outline(&everything(Format::OpenMetrics)));
    golden::compare("metrics-prometheus.txt", &outline(&everything(Format::Classic)));
}

#[test]
fn the_page_explains_every_metric_and_none_that_does_not_exist() {
    let page = fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let explained: Vec<String> = rows
        .filter(|(name, _)| ["kubeproxy_", "shunt_", "process_"].iter().any(|of| name.starts_with(of)))
        .map(|(name, _)| name.split('{').next().unwrap().to_owned())
        .collect();
    let once: BTreeSet<_> = explained.iter().cloned().collect();
    assert_eq!(explained.len(), once.len(), "one row each");
    assert_eq!(once, families());
    let elsewhere: Vec<_> = mentioned(&page).difference(&families()).cloned().collect();
    assert_eq!(elsewhere, [""; 0], "names outside of the tables");
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_exist() {
    for file in ["deploy/monitoring/alerts.yaml", "deploy/monitoring/dashboard.json"] {
        let text = fs::read_to_string(repository(file)).unwrap();
        let asked = mentioned(&text);
        assert!(asked.len() > 5, "{file}: {asked:?}");
        let families = families();
        let unknown: Vec<_> = asked.difference(&families).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}
