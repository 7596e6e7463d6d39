//! The server of metrics, and what the numbers mean.

use super::{
    Told,
    exposition::{api, everything, kernel, samples, start, worked},
    free,
    http::{ask_by, exchange, status, wait_until},
    options,
    promtool::{accepts_page, promtool},
};
use shunt::{
    engine::{Growth, Remembered, SyncReport},
    model::Family,
    server::{ApiSnapshot, Format, Metrics, MetricsPages, MetricsServer, PROXY_MODE},
    table::Usage,
    writer::Capacities,
};
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

fn serve(metrics: &Metrics, address: &str) -> (MetricsServer, SocketAddr) {
    let at = free(address);
    let asked = || ApiSnapshot { relists: 77, ..api() };
    let pages = MetricsPages {
        kernel: None,
        api: Some(Box::new(asked)),
        configz: "{\"node\":\"node-a\"}".to_owned(),
    };
    let server = MetricsServer::start(at, options(), metrics.clone(), pages, |_| {}).unwrap();
    wait_until("it listens", || status(at).is_some());
    (server, at)
}

#[test]
fn the_metrics_port_serves_what_kube_proxys_serves() {
    let (_server, at) = serve(&worked(), "127.77.3.1");
    let plain = "text/plain; charset=utf-8";
    for (path, code, kind, body) in [
        ("/healthz", 200, plain, "ok"),
        ("/proxyMode", 200, plain, PROXY_MODE),
        ("/configz", 200, "application/json", "{\"node\":\"node-a\"}"),
        ("/", 404, plain, "404 page not found\n"),
        ("/livez", 404, plain, "404 page not found\n"),
    ] {
        let answer = ask_by(at, "GET", path).unwrap();
        assert_eq!((answer.status(), answer.body.as_str()), (code, body), "{path}");
        assert_eq!(answer.header("Content-Type"), Some(kind), "{path}");
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"), "{path}");
    }
    let answer = ask_by(at, "GET", "/metrics").unwrap();
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(samples(&answer.body)["shunt_api_relists_total"], 77.0, "asked as it is scraped");
    accepts_page(&answer.body);
    let request = "GET /metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\nAccept: text/html\r\n\
                   Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n";
    let answer = exchange(at, request).unwrap();
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("Content-Type"), Some(kind));
    assert!(answer.body.ends_with("\n# EOF\n"), "{}", answer.body);
}

#[test]
fn a_metrics_port_that_somebody_has_is_taken_later() {
    let (at, told) = (free("127.77.3.2"), Told::default());
    let squatter = TcpListener::bind(at).unwrap();
    let metrics = Metrics::new(start());
    let server =
        MetricsServer::start(at, options(), metrics, MetricsPages::default(), told.listener()).unwrap();
    wait_until("it is told", || !told.all().is_empty());
    drop(squatter);
    wait_until("it listens", || told.all().len() == 2);
    let failed = format!("the metrics server cannot listen on {at}: Address already in use (os error 98)");
    assert_eq!(told.all(), [failed, format!("the metrics server listens on {at}")]);
    assert_eq!(ask_by(at, "GET", "/healthz").unwrap().body, "ok");
    drop(server);
    assert_eq!(status(at), None);
}

#[test]
fn promtool_accepts_all_metrics_without_a_complaint() {
    accepts_page(&everything(Format::Classic));
}

/// So that the test above can fail: promtool does complain.
#[test]
fn promtool_complains_of_a_counter_without_its_suffix() {
    let page = "# HELP shunt_x X.\n# TYPE shunt_x counter\nshunt_x 1\n";
    if let Some(output) = promtool(&["check", "metrics"], Path::new("/"), page) {
        assert!(!output.status.success());
    }
}

#[test]
fn syncs_changes_and_operations_are_counted() {
    let text = worked().encode(Format::Classic, None, None);
    let samples = samples(&text);
    let moment = 1_795_275_000.0;
    for (name, value) in [
        ("kubeproxy_sync_proxy_rules_service_changes_total", 1.0),
        ("kubeproxy_sync_proxy_rules_service_changes_pending", 0.0),
        ("kubeproxy_sync_proxy_rules_endpoint_changes_total", 2.0),
        ("kubeproxy_sync_proxy_rules_endpoint_changes_pending", 1.0),
        ("kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv4\"}", moment + 2.0),
        ("kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family=\"IPv6\"}", moment + 2.0),
        ("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family=\"IPv4\"}", moment + 3.0),
        ("kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}", 2.0),
        ("kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.001\",ip_family=\"IPv6\"}", 1.0),
        ("kubeproxy_sync_proxy_rules_duration_seconds_bucket{le=\"0.004\",ip_family=\"IPv6\"}", 2.0),
        ("kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}", 2.0),
        ("kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}", 0.0),
        ("shunt_sync_failures_total", 1.0),
        ("shunt_map_operations_total{kind=\"store\"}", 40.0),
        ("shunt_map_operations_total{kind=\"put\"}", 30.0),
        ("shunt_map_operations_total{kind=\"delete\"}", 20.0),
        ("shunt_map_operations_total{kind=\"prefix\"}", 10.0),
        ("shunt_map_operations_total{kind=\"grace_period\"}", 2.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
}

#[test]
fn growths_are_counted_by_map() {
    let metrics = Metrics::new(start());
    let before = Capacities::default();
    let after = Capacities { services: 2 * before.services, backends: 2 * before.backends, ..before };
    let growth = Growth { before, after, took: Duration::from_millis(5) };
    let grown = SyncReport { growths: vec![growth, growth], ..SyncReport::default() };
    let refused = SyncReport { growth_failed: Some("ENOMEM".to_owned()), ..SyncReport::default() };
    [grown, refused].iter().for_each(|report| metrics.synced(report, Duration::ZERO, false, start()));
    metrics.filled(Usage::default(), after);
    metrics.limited(1 << 30);
    metrics.remembered(&Remembered { reverse: Some(7), ..Remembered::default() });
    let text = metrics.encode(Format::Classic, None, None);
    let samples = samples(&text);
    for (name, value) in [
        ("shunt_map_growths_total{map=\"SERVICES\"}", 2.0),
        ("shunt_map_growths_total{map=\"STATS\"}", 2.0),
        ("shunt_map_growths_total{map=\"BACKENDS\"}", 2.0),
        ("shunt_map_growths_total{map=\"FLOWS\"}", 0.0),
        ("shunt_map_growth_failures_total", 1.0),
        ("shunt_map_memory_limit_bytes", 1_073_741_824.0),
        ("shunt_map_entries{map=\"REVERSE\"}", 7.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
    assert!(!samples.contains_key("shunt_map_entries{map=\"AFFINITY\"}"), "nobody counted them");
}

/// kube-proxy's rule: a trigger before the start of the process says nothing about this process.
#[test]
fn network_programming_is_measured_from_triggers_after_the_start_to_the_sync_that_succeeds() {
    let metrics = worked();
    let of = |metrics: &Metrics, family: &str| {
        let text = metrics.encode(Format::Classic, None, None);
        let samples = samples(&text);
        let name = "kubeproxy_network_programming_duration_seconds";
        let value = |name: String| samples[name.as_str()];
        let count = value(format!("{name}_count{{ip_family=\"{family}\"}}"));
        let zero = value(format!("{name}_bucket{{le=\"0\",ip_family=\"{family}\"}}"));
        let two = value(format!("{name}_bucket{{le=\"2\",ip_family=\"{family}\"}}"));
        (count, zero, two, value(format!("{name}_sum{{ip_family=\"{family}\"}}")))
    };
    assert_eq!(of(&metrics, "IPv4"), (1.0, 0.0, 1.0, 2.0), "since the failed sync too");
    assert_eq!(
        of(&metrics, "IPv6"),
        (1.0, 1.0, 1.0, 0.0),
        "one before the start; one by a clock that was ahead"
    );
    metrics.triggered(Family::V4, start() + Duration::from_secs(10));
    metrics.sync_failed(Duration::ZERO, false);
    assert_eq!(of(&metrics, "IPv4").0, 1.0, "it waits");
    let now = start() + Duration::from_millis(10_300);
    metrics.synced(&SyncReport::default(), Duration::ZERO, false, now);
    metrics.synced(&SyncReport::default(), Duration::ZERO, false, now);
    assert_eq!(of(&metrics, "IPv4").0, 2.0, "once");
}

#[test]
fn buckets_are_kube_proxys() {
    let text = everything(Format::Classic);
    let bounds = |name: &str| -> Vec<String> {
        let start = format!("{name}_bucket{{le=\"");
        let lines = text.lines().filter(|line| line.contains("IPv4"));
        let bounds = lines.filter_map(|line| line.strip_prefix(&start)?.split_once('"'));
        bounds.map(|(bound, _)| bound.to_owned()).collect()
    };
    // pkg/proxy/metrics/metrics.go of Kubernetes 1.36, as Go prints them.
    let doubled =
        "0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192 16.384 +Inf";
    for kind in ["sync", "sync_full", "sync_partial"] {
        assert_eq!(bounds(&format!("kubeproxy_{kind}_proxy_rules_duration_seconds")).join(" "), doubled);
    }
    let mut programming: Vec<String> = ["0", "0.25", "0.5"].map(str::to_owned).into();
    programming.extend((1..60).map(|seconds| seconds.to_string()));
    programming.extend((60..120).step_by(5).map(|seconds| seconds.to_string()));
    programming.extend((120..=300).step_by(30).map(|seconds| seconds.to_string()));
    programming.push("+Inf".to_owned());
    assert_eq!(bounds("kubeproxy_network_programming_duration_seconds"), programming);
}

#[test]
fn what_the_kernel_and_the_source_say_is_told() {
    let metrics = worked();
    metrics.devices_wanted(3);
    let text = metrics.encode(Format::Classic, Some(kernel()), Some(api()));
    let samples = samples(&text);
    for (name, value) in [
        (
            "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"internal\",ip_family=\"IPv4\"}",
            1.0,
        ),
        (
            "kubeproxy_sync_proxy_rules_no_local_endpoints_total{traffic_policy=\"external\",ip_family=\"IPv6\"}",
            4.0,
        ),
        ("shunt_attachments_wanted{to=\"cgroup\"}", 11.0),
        ("shunt_attachments_in_effect{to=\"cgroup\"}", 11.0),
        ("shunt_attachments_wanted{to=\"device\"}", 3.0),
        ("shunt_attachments_in_effect{to=\"device\"}", 2.0),
        ("shunt_map_memory_bytes{map=\"FLOWS\"}", 4_096.0),
        (
            "shunt_datapath_events_total{path=\"socket\",outcome=\"rejected\",reason=\"connect_no_endpoint\"}",
            1_001.0,
        ),
        ("shunt_api_requests_total{verb=\"watch\",outcome=\"expired\"}", 1.0),
        ("shunt_api_deletions_held_back", 8.0),
        ("shunt_api_last_contact_age_seconds", 1.5),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}");
    }
    let without = metrics.encode(Format::Classic, None, None);
    assert!(
        !without.contains("shunt_datapath") && !without.contains("shunt_api"),
        "nobody has said anything"
    );
}
