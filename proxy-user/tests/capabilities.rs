//! The agent runs as nobody with exactly the capabilities that `deploy/` names, in a PID namespace of its own as in a
//! container, and without each of them something breaks that `deploy/README.md` names. Needs root.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;
#[path = "stale_sockets/pods.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod pods;

/// What `pods` needs of the tests that it belongs to.
mod field {
    use std::{net::SocketAddr, time::Duration};

    pub const TIMEOUT: Duration = Duration::from_secs(3);

    pub fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}

use command::{PROGRAM, Said, Site, skipped, wait_until};
use pods::{BOTH, PORT, Pods, SERVERS, assert_moved};
use rustix::{
    fs::{XattrFlags, setxattr},
    mount::{UnmountFlags, mount_bind, unmount},
};
use serde_json::{Value, json};
use shunt::lab::{Lab, Place};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Bits of the capabilities that the file in the image bears (linux/capability.h), as in `xtask/src/image`.
const FILE: [u32; 6] = [1, 12, 21, 24, 38, 39];

/// Capabilities that a manifest of `deploy/` names, on its only line with such a list after this word.
fn named(manifest: &str, word: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(manifest);
    let text = fs::read_to_string(&path).unwrap();
    let list = text.lines().find_map(|line| line.trim().strip_prefix(word)?.strip_suffix(']')).unwrap();
    list.split(", ").map(str::to_owned).collect()
}

fn full() -> BTreeSet<String> {
    named("base/daemon-set.yaml", "add: [")
}

fn without_pod_namespaces() -> BTreeSet<String> {
    named("components/no-pod-namespaces/kustomization.yaml", "value: [")
}

/// A site that nobody may read, with the program as it is in the image.
struct Nobodys {
    site: Site,
    program: PathBuf,
}

impl Nobodys {
    fn new() -> Self {
        let site = Site::new();
        let directory = site.directory.path();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        let program = directory.join("shunt");
        fs::copy(PROGRAM, &program).unwrap();
        let permitted = FILE.iter().fold(0_u64, |set, bit| set | 1 << bit);
        let words = [0x0200_0000, permitted as u32, 0, (permitted >> 32) as u32, 0];
        let value: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        setxattr(&program, c"security.capability", &value, XattrFlags::empty()).unwrap();
        Self { site, program }
    }

    /// The agent as a container's runtime starts it: another user, a bounding set, /proc of a new PID namespace.
    fn agent(&self, capabilities: &BTreeSet<String>, more: &[&str]) -> Command {
        let bounds = capabilities.iter().map(|name| format!(",+{}", name.to_lowercase())).collect::<String>();
        let mut command = Command::new("unshare");
        command.args([
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "slave",
            "setpriv",
        ]);
        command.args(["--reuid", "65532", "--regid", "65532", "--clear-groups"]);
        command.args([&format!("--bounding-set=-all{bounds}"), "--inh-caps=-all"]).arg(&self.program);
        let run = self.site.run(&self.site.manifests(), more);
        command.args(run.get_args()).env_remove("NODE_NAME").env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    /// What an agent says that does not get as far as being ready.
    fn refused(&self, capabilities: &BTreeSet<String>, place: impl Into<Place>) -> Said {
        let mut command = self.agent(capabilities, &["--interfaces", "*"]);
        let output = shunt::lab::run(place, &mut command, Duration::from_secs(20)).unwrap();
        output.into()
    }
}

/// A name of a namespace in /run/netns, as the runtimes of a CNI make it; gone with the value.
struct Name(PathBuf);

impl Name {
    fn new(label: &str, place: impl Into<Place>) -> Self {
        let directory = Path::new("/run/netns");
        fs::create_dir_all(directory).unwrap();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("shunt-test-{label}-{}-{number}", std::process::id()));
        fs::write(&path, "").unwrap();
        let name = Self(path);
        place.into().run(|| mount_bind("/proc/thread-self/ns/net", &name.0).unwrap()).unwrap();
        name
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
        let _ = fs::remove_file(&self.0);
    }
}

fn without(set: &BTreeSet<String>, name: &str) -> BTreeSet<String> {
    let mut set = set.clone();
    assert!(set.remove(name), "{name} is not named");
    set
}

/// A UDP Service over these pods.
fn manifest(pods: &Pods, serving: &[usize]) -> String {
    let endpoints: Vec<Value> =
        serving.iter().map(|pod| json!({"addresses": [pods.lab.pod(*pod).ipv4()]})).collect();
    let v6: Vec<Value> =
        serving.iter().map(|pod| json!({"addresses": [pods.lab.pod(*pod).ipv6()]})).collect();
    let service = |name: &str, ip: &str, family: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
            "clusterIPs": [ip], "ipFamilies": [family],
            "ports": [{"name": "dns", "protocol": "UDP", "port": 53}]}})
    };
    let slice = |name: &str, family: &str, endpoints: &[Value]| {
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {"name": format!("{name}-1"), "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"name": "dns", "protocol": "UDP", "port": PORT}], "endpoints": endpoints})
    };
    json!({"apiVersion": "v1", "kind": "List", "items": [
        service("dns4", "10.96.0.53", "IPv4"), slice("dns4", "IPv4", &endpoints),
        service("dns6", "fd00:96::53", "IPv6"), slice("dns6", "IPv6", &v6),
    ]})
    .to_string()
}

/// Runs an agent over a change that removes a backend of connected UDP sockets in a pod and on the node; returns its log
/// once it has said `text`, and hands the sockets to `then`.
fn remove_a_backend(
    capabilities: &BTreeSet<String>,
    text: &str,
    then: impl FnOnce(Vec<pods::Client>),
) -> String {
    let (nobodys, pods) = (Nobodys::new(), Pods::new());
    let site = &nobodys.site;
    let _names = [Name::new("pod", pods.lab.pod(SERVERS)), Name::new("node", pods.lab.node())];
    site.save("dns.json", &manifest(&pods, &BOTH));
    let mut command = nobodys.agent(capabilities, &["--interfaces", "*"]);
    Place::from(pods.lab.node()).enter_command(&mut command);
    let mut agent = site.start_command(command);
    agent.wait_for("packet programs attached to");
    let clients = pods.clients(&site.cgroup);
    site.save("dns.json", &manifest(&pods, &[1]));
    agent.wait_for(text);
    then(clients);
    let log = agent.log();
    drop(agent);
    // What is killed is its parent, and it follows.
    let pins = site.bpffs.path().join("shunt");
    wait_until("the agent is gone", || {
        Place::from(pods.lab.node()).run(|| shunt::kernel::remove(&pins).is_ok()).unwrap()
    });
    log
}

#[test]
fn with_those_of_the_base_all_works() {
    if skipped() {
        return;
    }
    let log = remove_a_backend(&full(), "closed connected UDP sockets", |clients| assert_moved(clients, 0));
    for trouble in ["ERROR", "lack of", "unnoticed", "stay connected"] {
        assert!(!log.contains(trouble), "{trouble}: {log}");
    }
}

#[test]
fn with_those_of_no_pod_namespaces_only_sockets_of_pods_stay() {
    if skipped() {
        return;
    }
    let least = without_pod_namespaces();
    let log = remove_a_backend(&least, "setns was refused for lack of CAP_SYS_ADMIN", |_| ());
    for trouble in ["ERROR", "unnoticed"] {
        assert!(!log.contains(trouble), "{trouble}: {log}");
    }
}

#[test]
fn without_any_of_those_the_agent_says_what_it_lacks() {
    if skipped() {
        return;
    }
    let (nobodys, lab) = (Nobodys::new(), Lab::new(1).unwrap());
    nobodys.site.save("empty.json", r#"{"apiVersion": "v1", "kind": "List", "items": []}"#);
    let least = without_pod_namespaces();
    for (lacking, set, says) in [
        ("BPF", &least, "BPF_MAP_CREATE was refused for lack of CAP_BPF"),
        ("NET_ADMIN", &least, "BPF_PROG_LOAD was refused for lack of CAP_BPF and CAP_NET_ADMIN"),
        ("PERFMON", &least, "BPF_PROG_LOAD was refused for lack of CAP_PERFMON"),
        ("DAC_OVERRIDE", &least, "Permission denied"),
        ("DAC_OVERRIDE", &full(), "Permission denied"),
        ("SYS_ADMIN", &full(), "BPF_MAP_CREATE was refused for lack of CAP_BPF"),
    ] {
        let said = nobodys.refused(&without(set, lacking), lab.node());
        assert!(said.err.contains(says), "without {lacking} of {set:?}: {:?} {}", said.code, said.err);
        assert!(said.code.is_some_and(|code| code != 0) && said.err.lines().count() < 5, "{}", said.err);
    }
}

#[test]
fn without_net_admin_sockets_stay_and_kube_proxy_goes_unnoticed() {
    if skipped() {
        return;
    }
    let log = remove_a_backend(&without(&full(), "NET_ADMIN"), "stay connected", |_| ());
    assert!(log.contains("a kube-proxy beside Shunt goes unnoticed"), "{log}");
}
