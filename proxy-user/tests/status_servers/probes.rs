//! /healthz, /livez and /readyz, as load balancers, kubelet and rollouts ask them.

use super::{
    Told, free,
    http::{Answer, ask_by, exchange, free_port, status, wait_until},
    options,
};
use serde_json::{Value, json};
use shunt::server::{HealthServer, Metrics, NodeEligibility, ProxyHealth};
use std::{
    net::{Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

struct Proxy {
    health: Arc<ProxyHealth>,
    metrics: Metrics,
    at: SocketAddr,
    server: HealthServer,
}

impl Proxy {
    fn start(at: SocketAddr, told: &Told) -> Self {
        let (health, metrics) = (Arc::new(ProxyHealth::default()), Metrics::new(SystemTime::now()));
        let (shared, tell) = (Arc::clone(&health), told.listener());
        let server = HealthServer::start(at, options(), shared, metrics.clone(), tell).unwrap();
        Self { health, metrics, at, server }
    }

    /// One that listens.
    fn new(address: &str) -> Self {
        let proxy = Self::start(free(address), &Told::default());
        wait_until("it listens", || status(proxy.at).is_some());
        proxy
    }

    fn get(&self, path: &str) -> Answer {
        ask_by(self.at, "GET", path).unwrap()
    }

    /// Statuses of /healthz, /livez and /readyz.
    fn probes(&self) -> [u16; 3] {
        ["/healthz", "/livez", "/readyz"].map(|path| self.get(path).status())
    }

    /// An update waits for the kernel since so many seconds.
    fn wait_since(&self, seconds: u64) {
        self.health.applied();
        self.health.queued(Instant::now() - Duration::from_secs(seconds));
    }
}

#[test]
fn an_update_that_waits_for_60_seconds_fails_healthz_and_livez_until_the_kernel_has_it() {
    let proxy = Proxy::new("127.77.2.1");
    proxy.health.ready();
    assert_eq!(proxy.probes(), [200; 3], "nothing waits");
    proxy.wait_since(50);
    assert_eq!(proxy.probes(), [200; 3], "not for long");
    proxy.wait_since(60);
    assert_eq!(proxy.probes(), [503, 503, 200]);
    proxy.health.applied();
    assert_eq!(proxy.probes(), [200; 3]);
}

#[test]
fn a_node_that_is_leaving_or_unknown_fails_healthz_alone() {
    let proxy = Proxy::new("127.77.2.2");
    proxy.health.ready();
    for (node, healthz) in [
        (NodeEligibility::Leaving, 503),
        (NodeEligibility::Eligible, 200),
        (NodeEligibility::Unknown, 503),
        (NodeEligibility::Eligible, 200),
    ] {
        proxy.health.node(node);
        assert_eq!(proxy.probes(), [healthz, 200, 200], "{node:?}");
    }
}

#[test]
fn a_proxy_that_is_starting_is_healthy_and_not_ready_until_the_first_lists_reach_the_kernel() {
    let proxy = Proxy::new("127.77.2.3");
    assert_eq!(proxy.probes(), [200, 200, 503]);
    proxy.health.queued(Instant::now());
    proxy.health.applied();
    assert_eq!(proxy.probes(), [200, 200, 503], "an incomplete list");
    proxy.health.ready();
    assert_eq!(proxy.probes(), [200; 3]);
    proxy.wait_since(100);
    assert_eq!(proxy.get("/readyz").status(), 200, "what the kernel has, it keeps");
}

fn body(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap()
}

/// Seconds since 1970 of a moment as Go writes it, by `date`, which is not ours.
fn seconds(moment: &Value) -> u64 {
    let date =
        std::process::Command::new("date").args(["-u", "+%s", "-d", moment.as_str().unwrap()]).output();
    String::from_utf8(date.unwrap().stdout).unwrap().trim().parse().unwrap()
}

#[test]
fn bodies_have_the_fields_of_kube_proxys() {
    let proxy = Proxy::new("127.77.2.4");
    let applied = UNIX_EPOCH + Duration::from_millis(1_795_275_045_250);
    let (v4, at) = ("IPv4", "2026-11-21T15:30:45.25Z");

    let fresh = body(&proxy.get("/livez"));
    assert!(fresh.get("status").is_none() && fresh.get("nodeEligible").is_none(), "{fresh}");

    proxy.health.applied_at(applied);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (path, field, value) in
        [("/healthz", "nodeEligible", json!(true)), ("/livez", "nodeEligible", Value::Null)]
    {
        let answer = proxy.get(path);
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
        let mut body = body(&answer);
        for moment in ["lastUpdated", "currentTime"] {
            let said = seconds(&body[moment].take());
            assert!((now..=now + 30).contains(&said), "of a healthy proxy both are now: {moment} {said}");
        }
        assert_eq!(body[field], value);
        assert_eq!(body["healthy"], true);
        let family = json!({"lastUpdated": at, "healthy": true});
        assert_eq!(body["status"], json!({v4: family, "IPv6": family}));
    }

    proxy.health.queued(Instant::now() - Duration::from_secs(61));
    let late = body(&proxy.get("/livez"));
    assert_eq!((&late["lastUpdated"], &late["healthy"]), (&json!(at), &json!(false)));
    assert_eq!(late["status"][v4], json!({"lastUpdated": at, "healthy": false}));

    // A node that leaves has a proxy that works.
    proxy.health.applied_at(applied);
    proxy.health.node(NodeEligibility::Leaving);
    let leaving = body(&proxy.get("/healthz"));
    assert_eq!((&leaving["nodeEligible"], &leaving["healthy"]), (&json!(false), &json!(true)));
    assert_eq!(leaving["lastUpdated"], at);

    // Bytes, for those who compare: Go's encoding/json writes no blank, in the order of the struct's fields.
    let text = proxy.get("/healthz").body;
    let order = [
        "{\"lastUpdated\":\"",
        "\",\"currentTime\":\"",
        "\",\"nodeEligible\":false,\"healthy\":true,\
                 \"status\":{\"IPv4\":{\"lastUpdated\":\"",
        "\",\"healthy\":true},\"IPv6\":{\"lastUpdated\":\"",
    ];
    let mut rest = text.as_str();
    for part in order {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("{part} is not in {text}")).1;
    }
    assert_eq!(rest, format!("{at}\",\"healthy\":true}}}}}}"));
}

#[test]
fn every_method_is_answered_and_other_paths_are_not() {
    let proxy = Proxy::new("127.77.2.5");
    for method in ["GET", "POST", "PUT", "OPTIONS"] {
        assert_eq!(ask_by(proxy.at, method, "/livez?verbose").unwrap().status(), 200, "{method}");
    }
    let head = ask_by(proxy.at, "HEAD", "/livez").unwrap();
    assert_eq!((head.status(), head.body.as_str()), (200, ""));
    for path in ["/", "/metrics", "/healthz/", "/livez/x", "*"] {
        let answer = ask_by(proxy.at, "GET", path).unwrap();
        assert_eq!((answer.status(), answer.body.as_str()), (404, "404 page not found\n"), "{path}");
    }
    let broken = exchange(proxy.at, "GET /live z HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(broken.status(), 400);
}

#[test]
fn probes_are_counted_by_status() {
    let proxy = Proxy::new("127.77.2.6");
    let count = |name: &str| {
        let text = proxy.metrics.encode(shunt::server::Format::Classic, None, None);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse::<u64>().unwrap()
    };
    (0..3).for_each(|_| assert_eq!(proxy.get("/livez").status(), 200));
    proxy.health.node(NodeEligibility::Leaving);
    (0..2).for_each(|_| assert_eq!(proxy.get("/healthz").status(), 503));
    assert_eq!(count("kubeproxy_proxy_livez_total{code=\"200\"}"), 3);
    assert_eq!(count("kubeproxy_proxy_livez_total{code=\"503\"}"), 0);
    assert_eq!(count("kubeproxy_proxy_healthz_total{code=\"200\"}"), 0);
    assert_eq!(count("kubeproxy_proxy_healthz_total{code=\"503\"}"), 2);
}

#[test]
fn a_port_that_somebody_has_is_told_once_and_taken_when_it_is_free() {
    let (at, told) = (free("127.77.2.7"), Told::default());
    let squatter = TcpListener::bind(at).unwrap();
    let proxy = Proxy::start(at, &told);
    wait_until("it is told", || !told.all().is_empty());
    std::thread::sleep(Duration::from_millis(200));
    let failed = format!("the healthz server cannot listen on {at}: Address already in use (os error 98)");
    assert_eq!(told.all(), [failed.as_str()], "once, though it was tried some ten times");
    drop(squatter);
    wait_until("it listens", || told.all().len() == 2);
    assert_eq!(told.all()[1], format!("the healthz server listens on {at}"));
    assert_eq!(proxy.get("/livez").status(), 200);
    proxy.server.close();
    assert_eq!(status(at), None, "closed, its port is free");
    drop(TcpListener::bind(at).unwrap());
}

/// As in Go: kube-proxy's 0.0.0.0:10256 answers on IPv6 too.
#[test]
fn an_unspecified_address_means_both_families() {
    for address in ["0.0.0.0", "::"] {
        // On the machine's own addresses for a moment: in a namespace of the test's where that can be.
        let port = free_port(Ipv6Addr::LOCALHOST.into());
        let at = SocketAddr::new(address.parse().unwrap(), port);
        let told = Told::default();
        let work = || {
            let proxy = Proxy::start(at, &told);
            for loopback in ["127.0.0.1", "::1"] {
                let at = SocketAddr::new(loopback.parse().unwrap(), port);
                wait_until(&format!("{at} answers"), || status(at).is_some());
                assert_eq!(ask_by(at, "GET", "/livez").unwrap().status(), 200);
            }
            proxy.server.close();
            assert_eq!(told.all(), [""; 0]);
        };
        match island() {
            Some(island) => island.run(work).unwrap(),
            None => return,
        }
    }
}

/// A network namespace with nothing but loopback; `None`, said loudly, where none can be made.
fn island() -> Option<shunt::lab::Namespace> {
    if let Err(reason) = shunt::lab::available() {
        assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
        eprintln!("skipped: {reason}");
        return None;
    }
    Some(shunt::lab::Namespace::new("probes").unwrap())
}
