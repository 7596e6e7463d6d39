//! A scrape with a sample of everything, and how to take one apart.

use shunt::{
    engine::SyncReport,
    kernel::{
        MAPS,
        watchman::{Fault, Finding, Hook},
    },
    model::{Event, Family, ObjectName},
    server::{ApiSnapshot, Format, KernelSnapshot, Metrics},
    table::Usage,
    writer::Capacities,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// When the sample agent was started.
pub fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_275_000)
}

/// Every family has a sample.
pub fn everything(format: Format) -> String {
    let metrics = Metrics::new(start());
    metrics.filled(Usage::default(), Capacities::default());
    metrics.limited(64 << 20);
    metrics.aged(10, 4);
    metrics.watched(&[finding("connect4", Fault::Detached)], &[finding("connect6", Fault::ForeignBefore)]);
    metrics.encode(format, Some(kernel()), Some(api()))
}

fn finding(hook: &'static str, fault: Fault) -> Finding {
    Finding { hook: Hook::new(hook), fault, severity: fault.severity(), text: String::new() }
}

pub fn kernel() -> KernelSnapshot {
    KernelSnapshot {
        counters: std::array::from_fn(|index| index as u64 + 1_000),
        programs_in_effect: 11,
        devices_in_effect: 2,
        memory: MAPS.iter().map(|map| (*map, 4_096)).collect(),
        no_local_endpoints: [[1, 2], [3, 4]],
    }
}

pub fn api() -> ApiSnapshot {
    ApiSnapshot {
        requests: vec![("list", "accepted", 3), ("watch", "expired", 1)],
        reconnects: 5,
        relists: 6,
        failovers: 7,
        held_back: 8,
        refused_objects: 9,
        bytes: 10,
        silence: Some(Duration::from_millis(1_500)),
    }
}

/// An agent that has worked: two syncs, one of them refused.
pub fn worked() -> Metrics {
    let metrics = Metrics::new(start());
    let after = |seconds| start() + Duration::from_secs(seconds);
    metrics.changed(&Event::ServiceDeleted(ObjectName::new("shop", "web")));
    metrics.changed(&Event::SliceDeleted(ObjectName::new("shop", "web-1")));
    metrics.changed(&Event::NodeDeleted("node-a".into()));
    metrics.queued(after(1));
    metrics.triggered(Family::V6, start() - Duration::from_secs(1));
    metrics.triggered(Family::V4, after(0));
    metrics.triggered(Family::V6, after(9));
    metrics.sync_failed(Duration::from_millis(3), true);
    let report = SyncReport {
        stores: 40,
        puts: 30,
        deletes: 20,
        prefixes: 10,
        grace_periods: 2,
        ..SyncReport::default()
    };
    metrics.synced(&report, Duration::from_micros(500), true, after(2));
    metrics.changed(&Event::SliceDeleted(ObjectName::new("shop", "web-2")));
    metrics.queued(after(3));
    metrics
}

/// Samples of a page by their name with labels.
pub fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect()
}

/// Names, types, help texts and labels of a page: what others rely on.
pub fn outline(text: &str) -> String {
    let mut out = String::new();
    let mut labels = BTreeSet::new();
    let flush = |labels: &mut BTreeSet<String>, out: &mut String| {
        std::mem::take(labels).into_iter().for_each(|line| out.push_str(&format!("{line}\n")));
    };
    for line in text.lines() {
        if line.starts_with("# ") {
            flush(&mut labels, &mut out);
            out.push_str(line);
            out.push('\n');
        } else {
            labels.insert(keys(line));
        }
    }
    flush(&mut labels, &mut out);
    out
}

/// A sample without the values of its labels and its own.
fn keys(sample: &str) -> String {
    let Some((name, rest)) = sample.split_once('{') else {
        return sample.split(' ').next().unwrap().to_owned();
    };
    // No value of ours has a comma or an equals sign in it.
    let pairs = rest.split_once('}').unwrap().0;
    let mut keys: Vec<_> = pairs.split(',').map(|pair| pair.split('=').next().unwrap()).collect();
    keys.sort_unstable();
    format!("{name}{{{}}}", keys.join(","))
}
