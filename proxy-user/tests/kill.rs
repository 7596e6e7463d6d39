//! `shunt run` is killed in the middle of bursts of changes, again and again, while clients connect:
//! every connection reaches a backend that was valid before or after the burst.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

use serde_json::{Value, json};
use shunt::{
    kernel::{self, Kernel},
    lab::{Bpffs, Cgroup, Lab, Process, TcpServer, available, tcp_ask},
    view::decode,
    writer::MapReader,
};
use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const KILLS: u32 = 50;
const SERVICES: u16 = 12;
const PODS: usize = 4;
/// How often a burst turns every service over before the agent is killed in the middle of it.
const TURNS: u32 = 6;

/// The pods that serve each service.
type Choice = Vec<BTreeSet<usize>>;

/// Cheap random numbers that a failing run can be repeated with.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// For each service one to three of the pods.
    fn choice(&mut self) -> Choice {
        let mut one = || (0..PODS).filter(|_| self.next(2) == 0).collect::<BTreeSet<_>>();
        let mut some = || {
            let pods = one();
            if pods.is_empty() || pods.len() == PODS { BTreeSet::from([0]) } else { pods }
        };
        (0..SERVICES).map(|_| some()).collect()
    }
}

fn frontend(service: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 96, 1, service as u8).into(), 80)
}

/// Each service's backends listen on a port of their own, so that a foreign one would show.
const fn port(service: u16) -> u16 {
    8000 + service
}

/// Services that nobody dials: they make a plan long enough to be killed in the middle of it.
const FILLERS: u16 = 1_200;

/// Name of a filler; by name, they stand between the dialled services.
fn filler(number: u16) -> String {
    format!("svc-{}-{number}", number % SERVICES)
}

/// A List of all Services, dialled ones and fillers.
fn services() -> String {
    let fillers =
        (0..FILLERS).map(|n| (format!("filler-{n}"), Ipv4Addr::from(0x0a60_1000 + u32::from(n)).into()));
    let dialled = (0..SERVICES).map(|service| (format!("svc-{service}"), frontend(service).ip()));
    let service = |(name, ip): (String, IpAddr)| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
            "clusterIPs": [ip], "ipFamilies": ["IPv4"], "ports": [{"name": "main", "port": 80}]}})
    };
    list(dialled.chain(fillers).map(service))
}

/// A List of all slices: those of the dialled services spread among the fillers', which change too.
fn slices(lab: &Lab, choice: &Choice) -> String {
    let slice = |name: String, port: u16, addresses: Vec<Ipv4Addr>| {
        let endpoints: Vec<_> = addresses.iter().map(|ip| json!({"addresses": [ip]})).collect();
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "main", "port": port}], "endpoints": endpoints})
    };
    let turn = choice.iter().flatten().sum::<usize>() as u8;
    let mut items = Vec::new();
    for (service, pods) in (0..).zip(choice) {
        let addresses = pods.iter().map(|pod| lab.pod(*pod).ipv4()).collect();
        items.push(slice(format!("svc-{service}"), port(service), addresses));
        for number in (0..FILLERS).filter(|number| number % SERVICES == service) {
            items.push(slice(filler(number), 1, vec![Ipv4Addr::new(10, 244, 200, turn)]));
        }
    }
    list(items)
}

fn list(items: impl IntoIterator<Item = Value>) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items.into_iter().collect::<Vec<_>>()}).to_string()
}

/// Replaces a file as editors do: never half written.
fn save(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// What the kernel serves now, as pods per service.
fn programmed(lab: &Lab, pin_path: &Path) -> Option<Choice> {
    let ports = decode(&Kernel::read_only(pin_path).ok()?).ok()?;
    let pod = |ip| (0..PODS).find(|pod| lab.pod(*pod).ipv4() == ip);
    let choice = (0..SERVICES).map(|service| {
        let port = ports
            .iter()
            .find(|p| p.id.as_ref().is_some_and(|id| id.service.name == format!("svc-{service}")))?;
        port.cluster.iter().map(|endpoint| pod(endpoint.ip())).collect()
    });
    choice.collect()
}

/// A cheap look at all that a plan writes for these services.
fn fingerprint(maps: &impl MapReader) -> u64 {
    // Every service has its slots among the first; a few of each plan will do.
    let slots = (0..2 * u32::from(FILLERS)).step_by(16).filter_map(|index| maps.slot(index));
    slots.fold(0, |sum: u64, slot| sum.rotate_left(1) ^ slot.0)
}

fn wait_for(lab: &Lab, pin_path: &Path, wanted: &Choice) {
    let end = Instant::now() + Duration::from_secs(20);
    while programmed(lab, pin_path).as_ref() != Some(wanted) {
        assert!(Instant::now() < end, "the maps never became {wanted:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

struct Pins<'a>(&'a Path);

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        let _ = kernel::remove(self.0);
    }
}

#[test]
fn a_killed_agent_never_leads_a_client_astray() {
    if let Err(reason) = available() {
        assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
        eprintln!("skipped: {reason}");
        return;
    }
    let seed = std::env::var("SHUNT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed);
    let mut random = Random(seed);
    let (lab, cgroup, bpffs) = (Lab::new(PODS).unwrap(), Cgroup::new().unwrap(), Bpffs::new().unwrap());
    let pin_path = bpffs.path().join("shunt");
    let _pins = Pins(&pin_path);
    let _servers: Vec<_> = (0..SERVICES)
        .flat_map(|service| (0..PODS).map(move |pod| (service, pod)))
        .map(|(service, pod)| {
            let address = SocketAddr::new(lab.pod(pod).ipv4().into(), port(service));
            TcpServer::start(lab.pod(pod), &format!("{service}/{pod}"), address).unwrap()
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("slices.json");
    save(&dir.path().join("services.json"), &services());
    let mut before = random.choice();
    save(&manifest, &slices(&lab, &before));
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shunt"));
        command.args(["--log", "error", "run", "--node", "lab-node", "--manifests"]).arg(dir.path());
        command.arg("--cgroup").arg(cgroup.path()).arg("--pin-path").arg(&pin_path);
        // This is the machine's own network namespace.
        command.args(["--interfaces", "none", "--healthz-address", "", "--metrics-address", ""]);
        Process::start(command.stdin(Stdio::null())).unwrap()
    };
    let mut agent = start();
    wait_for(&lab, &pin_path, &before);

    // What a connection may reach at this moment, by service.
    let valid = Mutex::new(before.clone());
    let (done, made) = (AtomicBool::new(false), AtomicU64::new(0));
    let client = |first: u16| {
        let mut service = first;
        while !done.load(Ordering::Relaxed) {
            let allowed_before = valid.lock().unwrap()[usize::from(service)].clone();
            let reply = tcp_ask(frontend(service), Duration::from_secs(5));
            let allowed_after = valid.lock().unwrap()[usize::from(service)].clone();
            let reply = reply.unwrap_or_else(|error| panic!("service {service}: {error} (seed {seed})"));
            let (of, pod) = reply.name.split_once('/').unwrap();
            assert_eq!(of, service.to_string(), "a foreign backend (seed {seed})");
            let pod: usize = pod.parse().unwrap();
            assert!(
                allowed_before.contains(&pod) || allowed_after.contains(&pod),
                "service {service} reached pod {pod}, allowed {allowed_before:?} or {allowed_after:?} (seed {seed})"
            );
            made.fetch_add(1, Ordering::Relaxed);
            // Leaves the processor to the agent, and to the thread that watches for a plan to begin.
            thread::sleep(Duration::from_micros(200));
            service = (service + 1) % SERVICES;
        }
    };
    /// Ends the clients when the test ends, also by a panic.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let mut mixtures = 0;
    thread::scope(|scope| {
        let (client, lab, cgroup) = (&client, &lab, &cgroup);
        let clients = [0, SERVICES / 2]
            .map(|first| scope.spawn(move || cgroup.run_in(lab.node(), || client(first)).unwrap()));
        let ended = Done(&done);
        for kill in 0..KILLS {
            let after = random.choice();
            *valid.lock().unwrap() =
                before.iter().zip(&after).map(|(before, after)| before | after).collect();
            let end = |agent: &mut Process| {
                agent.child().kill().unwrap();
                agent.child().wait().unwrap();
            };
            if kill % 4 != 0 {
                // At the first write of a plan that goes on for a while.
                let maps = Kernel::read_only(&pin_path).unwrap();
                let untouched = fingerprint(&maps);
                save(&manifest, &slices(lab, &after));
                let patience = Instant::now() + Duration::from_secs(20);
                while fingerprint(&maps) == untouched && Instant::now() < patience {}
                end(&mut agent);
            } else {
                // Anywhere in a burst that turns every service over and over.
                let kill_at = Duration::from_micros(random.next(300_000));
                thread::scope(|burst| {
                    burst.spawn(|| {
                        for turn in 0..TURNS {
                            save(&manifest, &slices(lab, if turn % 2 == 0 { &after } else { &before }));
                            thread::sleep(Duration::from_millis(50));
                        }
                    });
                    thread::sleep(kill_at);
                    end(&mut agent);
                });
            }
            let found = programmed(lab, &pin_path);
            mixtures += u32::from(found.as_ref() != Some(&before) && found.as_ref() != Some(&after));
            save(&manifest, &slices(lab, &after));
            agent = start();
            wait_for(lab, &pin_path, &after);
            (*valid.lock().unwrap()).clone_from(&after);
            before = after;
            if clients.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
        drop(ended);
        for client in clients {
            client.join().unwrap();
        }
    });
    let made = made.into_inner();
    println!(
        "{KILLS} kills, {made} connections, none astray; {mixtures} kills fell into the middle of a plan"
    );
    assert!(mixtures > 0, "no kill fell into the middle of a plan");
    assert!(made > u64::from(KILLS) * 10, "only {made} connections");
}
