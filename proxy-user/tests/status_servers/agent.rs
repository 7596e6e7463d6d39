//! Metrics of a real dataplane, scraped as Prometheus does it.

use super::{
    exposition::samples,
    free,
    http::{ask_by, status, wait_until},
    names::families,
    options,
    promtool::accepts_page,
};
use proxy_common::abi::DeviceEntry;
use shunt::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    kernel::sys,
    lab::{Bpffs, Cgroup, Namespace},
    model::{
        Endpoint, EndpointSlice, Event, Family, ObjectName, Protocol, Service, ServicePort, SlicePort,
        TrafficPolicy,
    },
    server::{Format, KernelReader, Metrics, MetricsPages, MetricsServer},
    writer::MapReader as _,
};
use std::{
    collections::BTreeMap,
    fs,
    net::TcpStream,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

const OTHER_NODE: &str = "node-b";

fn service(name: &str, address: &str, internal: TrafficPolicy, external: TrafficPolicy) -> Event {
    let mut service = Service::cluster_ip(ObjectName::new("shop", name), vec![address.parse().unwrap()]);
    (service.internal_policy, service.external_policy) = (internal, external);
    let protocol = Protocol::Tcp;
    service.ports.push(ServicePort { name: "http".into(), protocol, port: 80, node_port: None });
    Event::ServiceApplied(service)
}

/// An endpoint of another node.
fn slice(name: &str, family: Family, address: &str) -> Event {
    let mut endpoint = Endpoint::ready(address.parse().unwrap());
    endpoint.node = Some(OTHER_NODE.into());
    Event::SliceApplied(EndpointSlice {
        name: ObjectName::new("shop", format!("{name}-1")),
        service: name.into(),
        family,
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: vec![endpoint],
    })
}

/// What the agent does with changes.
fn program(dataplane: &mut Dataplane, metrics: &Metrics, events: Vec<Event>, full: bool) {
    metrics.queued(SystemTime::now());
    for event in events {
        metrics.changed(&event);
        dataplane.apply(event);
    }
    let report = dataplane.sync().unwrap();
    metrics.synced(&report, Duration::from_millis(1), full, SystemTime::now());
    // What was freed waits for a grace period and is counted until then, as it is in the maps.
    dataplane.settle().unwrap();
    let engine = dataplane.engine();
    metrics.filled(engine.usage(), engine.writer().capacities());
    metrics.limited(1 << 30);
}

/// Calls of bpf(2) are counted for the whole process, so these tests run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Scene {
    bpffs: Bpffs,
    cgroup: Cgroup,
    island: Namespace,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// `None`, with the reason printed, where no lab can be made.
    fn new() -> Option<Self> {
        if let Err(reason) = shunt::lab::available() {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (bpffs, cgroup) = (Bpffs::new().unwrap(), Cgroup::new().unwrap());
        Some(Self { bpffs, cgroup, island: Namespace::new("metrics").unwrap(), _alone: alone })
    }

    fn options(&self) -> Options {
        Options {
            cgroup: self.cgroup.path().to_owned(),
            pin_path: self.bpffs.path().join("shunt"),
            ..Options::default()
        }
    }

    fn open(&self) -> Dataplane {
        Dataplane::open("node-a", Rules::default(), &self.options()).unwrap()
    }
}

#[test]
fn a_scrape_says_what_the_kernel_does_and_costs_a_few_calls() {
    let Some(scene) = Scene::new() else { return };
    let mut dataplane = scene.open();
    let metrics = Metrics::new(SystemTime::now());
    let kernel = Some(KernelReader::new(&scene.options()));
    let at = free("127.77.4.1");
    let pages = MetricsPages { kernel, ..MetricsPages::default() };
    let server = MetricsServer::start(at, options(), metrics.clone(), pages, |_| {}).unwrap();
    wait_until("it listens", || status(at).is_some());
    let scrape = || ask_by(at, "GET", "/metrics").unwrap().body;
    let value = |page: &str, name: &str| samples(page).get(name).copied();

    use TrafficPolicy::{Cluster, Local};
    let events = vec![
        service("web", "10.96.0.10", Local, Local),
        slice("web", Family::V4, "10.244.9.1"),
        service("six", "fd00:96::6", Cluster, Local),
        slice("six", Family::V6, "fd00:244::9"),
        service("none", "10.96.0.11", Local, Local),
        service("all", "10.96.0.12", Cluster, Cluster),
        slice("all", Family::V4, "10.244.9.2"),
    ];
    program(&mut dataplane, &metrics, events, true);
    let refused = || TcpStream::connect_timeout(&"10.96.0.11:80".parse().unwrap(), Duration::from_secs(5));
    (0..3).for_each(|_| assert!(scene.cgroup.run_in(&scene.island, refused).unwrap().is_err()));

    let page = scrape();
    accepts_page(&page);
    for (name, wanted) in [
        ("kubeproxy_sync_proxy_rules_service_changes_total", 4.0),
        ("kubeproxy_sync_proxy_rules_endpoint_changes_total", 3.0),
        ("shunt_map_entries{map=\"SERVICES\"}", 4.0),
        ("shunt_map_entries{map=\"BACKENDS\"}", 3.0),
        ("shunt_attachments_wanted{to=\"cgroup\"}", 11.0),
        ("shunt_attachments_in_effect{to=\"cgroup\"}", 11.0),
        ("shunt_attachments_in_effect{to=\"device\"}", 0.0),
        (
            "shunt_datapath_events_total{path=\"socket\",outcome=\"rejected\",reason=\"connect_no_endpoint\"}",
            3.0,
        ),
        ("shunt_kernel_read_failures_total", 0.0),
    ] {
        assert_eq!(value(&page, name), Some(wanted), "{name}");
    }
    // As kube-proxy counts them: a Service without any endpoint is none of these.
    let no_local = |page: &str| -> BTreeMap<String, f64> {
        let of = |line: &str| {
            line.strip_prefix("kubeproxy_sync_proxy_rules_no_local_endpoints_total").map(str::to_owned)
        };
        samples(page).into_iter().filter_map(|(name, value)| Some((of(name)?, value))).collect()
    };
    let counted = |internal: [f64; 2], external: [f64; 2]| -> BTreeMap<String, f64> {
        let policies = [("internal", internal), ("external", external)];
        let each = policies.into_iter().flat_map(|(policy, counts)| {
            ["IPv4", "IPv6"].into_iter().zip(counts).map(move |(family, count)| {
                (format!("{{traffic_policy=\"{policy}\",ip_family=\"{family}\"}}"), count)
            })
        });
        each.collect()
    };
    assert_eq!(no_local(&page), counted([1.0, 0.0], [1.0, 1.0]));
    program(&mut dataplane, &metrics, vec![Event::ServiceDeleted(ObjectName::new("shop", "web"))], false);
    assert_eq!(no_local(&scrape()), counted([0.0, 0.0], [0.0, 1.0]));

    // Families that only a source or a round of aging gives, or that tell of faults, are missing, nothing else.
    let said: Vec<String> = scrape()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    let missing: Vec<_> = families().into_iter().filter(|name| !said.contains(name)).collect();
    let may_miss = |name: &String| name.starts_with("shunt_api_") || name == "shunt_attachment_faults";
    assert!(missing.iter().all(may_miss), "{missing:?}");

    // docs/metrics.md says what a scrape costs.
    let before = sys::calls();
    let page = scrape();
    let calls = sys::calls() - before;
    eprintln!("a scrape of {} bytes makes {calls} calls of bpf(2)", page.len());
    assert!(calls <= 40, "{calls} calls of bpf(2) for one scrape");

    // Somebody detaches a program behind our back.
    let links =
        fs::read_dir(scene.options().pin_path).unwrap().flatten().map(|entry| entry.path().join("links"));
    let links = links.into_iter().find(|path| path.is_dir()).unwrap();
    fs::remove_file(links.join("connect4")).unwrap();
    drop(dataplane);
    wait_until("it is noticed", || {
        value(&scrape(), "shunt_attachments_in_effect{to=\"cgroup\"}") == Some(10.0)
    });

    // Without maps the agent's own numbers are told still.
    drop(shunt::kernel::remove(&scene.options().pin_path));
    let page = scrape();
    assert_eq!(value(&page, "shunt_kernel_read_failures_total"), Some(1.0));
    assert_eq!(value(&page, "shunt_map_entries{map=\"SERVICES\"}"), Some(3.0));
    assert!(!page.contains("shunt_datapath"));
    accepts_page(&page);
    assert!(metrics.encode(Format::OpenMetrics, None, None).ends_with("# EOF\n"));
    server.close();
    assert_eq!(status(at), None);
}

#[test]
fn devices_whose_packets_are_translated_are_counted() {
    let Some(scene) = Scene::new() else { return };
    let mut dataplane = scene.open();
    // Loopback of a network namespace with nothing else.
    let wanted = BTreeMap::from([(1, DeviceEntry::default())]);
    let mut reader = KernelReader::new(&scene.options());
    let work = || {
        let mut read = || {
            let before = sys::calls();
            (reader.read().unwrap().devices_in_effect, sys::calls() - before)
        };
        read();
        let (none, base) = read();
        assert!(dataplane.set_devices(&wanted).unwrap().failed.is_empty());
        let (one, calls) = read();
        dataplane.set_devices(&BTreeMap::new()).unwrap();
        (none, one, read().0, calls - base)
    };
    let (none, one, after, more) = scene.island.run(work).unwrap();
    assert_eq!((none, one, after), (0, 1, 0));
    // docs/metrics.md says so.
    eprintln!("a device makes {more} more calls of bpf(2)");
    assert!(more <= 10, "{more} calls of bpf(2) for one device");
    drop(shunt::kernel::remove(&scene.options().pin_path));
}
