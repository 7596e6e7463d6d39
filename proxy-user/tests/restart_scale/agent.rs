//! `shunt run` over what a former `shunt run` has left in the kernel: its system calls, and what the maps hold then.

use crate::{
    api::{Api, SERVICES, SLICES},
    changes::CHANGES,
    cluster::{Cluster, Random},
    command::{Agent, LIMIT, Site, shunt, skipped, wait_until},
    counted::Writes,
    http::Server,
    objects::NODE,
    size,
    traced::{has_ended, traced, writes},
};
use serde_json::{Value, json};
use shunt::{
    kernel::PinnedMaps,
    writer::{FrontendKey, MapReader},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Room for a full-size cluster.
const SIZES: [&str; 6] = ["--max-frontends", "65536", "--max-services", "32768", "--max-endpoints", "262144"];

/// The maps that say what Services there are; mapped arrays among them.
const OF_SERVICES: [&str; 9] = [
    "FRONTENDS4",
    "FRONTENDS6",
    "SERVICES",
    "SLOTS",
    "BACKENDS",
    "NAMES",
    "SOURCE_RANGES",
    "NETWORKS",
    "NODE",
];

/// What an agent writes at its start, changes or not: its programs' constants, their stages, and to a map of its own
/// whose update waits for a grace period.
const AT_START: [&str; 3] = [".rodata", "STAGES", "BPF_MAP_TYPE_ARRAY_OF_MAPS"];

/// Longer than an agent waits at leisure before it gives back what was freed, and closes stale sockets.
const LEISURE: Duration = Duration::from_millis(2_500);

/// Who tells agents of the cluster.
enum Teller {
    Manifests,
    Server(ApiServer),
}

/// The fake API server, in a thread of its own.
struct ApiServer {
    api: Api,
    url: String,
    _end: oneshot::Sender<()>,
}

impl ApiServer {
    fn start() -> Self {
        let (api, (end, ended)) = (Api::default(), oneshot::channel::<()>());
        let (told, url) = std::sync::mpsc::channel();
        let served = api.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::start(&served);
                told.send(server.url()).unwrap();
                // Its end is that of the test.
                let _ = ended.await;
            });
        });
        Self { api, url: url.recv().unwrap(), _end: end }
    }
}

impl Teller {
    /// Tells of this cluster, and of nothing else.
    fn tell(&self, site: &Site, cluster: &Cluster) {
        match self {
            Self::Manifests => {
                let items: Vec<_> = cluster.objects().collect();
                let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
                site.save("all.json", &list.to_string());
            }
            Self::Server(server) => {
                let objects: Vec<Value> = cluster.objects().cloned().collect();
                server.api.state().version += 1;
                [SERVICES, SLICES].into_iter().for_each(|path| server.api.lose(path));
                server.api.restore(&objects);
            }
        }
    }

    fn command(&self, site: &Site) -> Command {
        let mut command = shunt(&["run", "--node", NODE, "--interfaces", "none"]);
        match self {
            Self::Manifests => command.arg("--manifests").arg(site.manifests()),
            Self::Server(server) => {
                command.args(["--startup-spread", "0s", "--kubeconfig"]);
                command.arg(kubeconfig(site.directory.path(), &server.url))
            }
        };
        command.arg("--cgroup").arg(site.cgroup.path()).args(["--pin-path", &site.pins()]);
        command.args(["--healthz-address", "", "--metrics-address", ""]).args(SIZES);
        command
    }
}

fn kubeconfig(directory: &Path, url: &str) -> std::path::PathBuf {
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    });
    let file = directory.join("kubeconfig");
    fs::write(&file, config.to_string()).unwrap();
    file
}

/// Waits until an agent serves; gives back the counts of its first sync.
fn ready(agent: &mut Agent) -> Writes {
    let end = Instant::now() + 10 * LIMIT;
    while !agent.log().lines().any(|line| line.contains("ready: ") && line.contains("took")) {
        assert!(Instant::now() < end, "not ready:\n{}", agent.log());
        thread::sleep(Duration::from_millis(20));
    }
    let line = agent.wait_for("ready: ");
    let count = |key: &str| {
        line.split_once(&format!(" {key}=")).unwrap().1.split(' ').next().unwrap().parse().unwrap()
    };
    // Puts and deletes of frontends are one number there.
    Writes { stores: count("stores"), puts: count("frontends"), ..Writes::NONE }
}

/// Every entry of every map that says what Services there are, as text.
fn content(site: &Site) -> BTreeMap<String, String> {
    let maps = PinnedMaps::read_only(Path::new(&site.pins())).unwrap();
    let sizes = maps.capacities();
    let mut content = BTreeMap::new();
    let mut keep = |map: &str, index: u32, entry: String| content.insert(format!("{map} {index}"), entry);
    let text = |entry: &dyn Debug| format!("{entry:?}");
    for index in 0..sizes.services {
        let entry = maps.service(index).unwrap();
        keep("SERVICES", index, text(&entry));
        if let Some(cell) = entry.name.checked_sub(1) {
            keep("NAMES", cell, maps.name(cell).unwrap());
        }
    }
    (0..sizes.slots).for_each(|index| drop(keep("SLOTS", index, text(&maps.slot(index).unwrap()))));
    (0..sizes.backends).for_each(|index| drop(keep("BACKENDS", index, text(&maps.backend(index).unwrap()))));
    keep("NODE", 0, text(&maps.node()));
    let frontends: BTreeMap<FrontendKey, _> = maps.frontends().unwrap().into_iter().collect();
    keep("FRONTENDS", 0, text(&frontends));
    let mut prefixes: Vec<_> = maps.prefixes().unwrap().iter().map(|prefix| text(&prefix)).collect();
    prefixes.sort_unstable();
    keep("SOURCE_RANGES and NETWORKS", 0, prefixes.join("\n"));
    content
}

/// What an agent did that was started over a former one's maps.
struct Restart {
    /// By its own count.
    told: Writes,
    /// Calls that write, by command and map.
    calls: BTreeMap<(String, String), usize>,
    /// Entries that are others than before.
    differ: BTreeSet<String>,
}

fn restart(site: &Site, teller: &Teller, way: &str) -> Restart {
    let (before, trace) = (content(site), site.directory.path().join("trace"));
    let mut agent = site.begin_command(traced(&teller.command(site), &trace));
    let told = ready(&mut agent);
    thread::sleep(LEISURE);
    let id = agent.id();
    assert!(agent.stop().success());
    wait_until("strace has seen its end", || has_ended(&trace, id));
    let (calls, all) = writes(&trace);
    eprintln!("{way}: {told:?}; of {all} bpf(2) calls those that write: {calls:?}");
    let after = content(site);
    let keys = before.keys().chain(after.keys());
    let differ = keys.filter(|key| before.get(*key) != after.get(*key)).cloned().collect();
    Restart { told, calls, differ }
}

impl Restart {
    /// Calls that write to the maps of Services. All others are those of every start.
    fn of_services(&self) -> usize {
        let mut count = 0;
        for ((command, map), calls) in &self.calls {
            if OF_SERVICES.contains(&map.as_str()) {
                count += calls;
            } else {
                let known = AT_START.iter().any(|known| map.ends_with(known));
                assert!(
                    known,
                    "{command} of {map}, which is none of Services and not written at every start"
                );
            }
        }
        count
    }
}

fn restarts(teller: &Teller) {
    let (site, cluster, random) = (Site::new(), Cluster::new(size()), &mut Random(4));
    teller.tell(&site, &cluster);
    let mut first = site.begin_command(teller.command(&site));
    let filled = ready(&mut first);
    assert!(filled.stores > size().endpoints as usize && filled.puts > size().services as usize);
    thread::sleep(LEISURE);
    // As a crash would.
    drop(first);

    teller.tell(&site, &cluster.resharded(random).shuffled(random).at_versions(9));
    let same = restart(&site, teller, "without changes");
    assert_eq!((same.told, same.of_services(), same.differ), (Writes::NONE, 0, BTreeSet::new()));

    let mut changed = cluster;
    CHANGES.iter().for_each(|change| (change.make)(&mut changed));
    teller.tell(&site, &changed);
    let ten = restart(&site, teller, "with ten changes");
    let need = Writes::sum(CHANGES.iter().map(|change| change.needs));
    assert_eq!(ten.told, Writes { puts: need.puts + need.deletes, deletes: 0, ..need });
    // One for each frontend that comes or goes, at most: several are one batch.
    assert!((2..=need.puts + need.deletes).contains(&ten.of_services()), "{:?}", ten.calls);
}

fn can_trace() -> bool {
    if Command::new("strace").arg("--version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "no strace");
    eprintln!("skipped: no strace");
    false
}

#[test]
fn over_manifests() {
    if !skipped() && can_trace() {
        restarts(&Teller::Manifests);
    }
}

#[test]
fn over_an_api_server() {
    if !skipped() && can_trace() {
        restarts(&Teller::Server(ApiServer::start()));
    }
}
