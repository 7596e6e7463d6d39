//! `shunt demo` as a user runs it: it keeps its promises, says so when it does not, and leaves nothing.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "agent")]

mod command;

use command::{LIMIT, Said, copy_examples, examples, shunt, signal, skipped};
use rustix::process::Signal;
use shunt::lab::{Cgroup, Process};
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

/// What the issue promises of the demo, the build aside.
const A_MINUTE: Duration = Duration::from_secs(60);

/// The acts, in their order.
const ACTS: [&str; 8] = [
    "1  Spread",
    "2  NodePort",
    "3  Affinity",
    "4  Change",
    "5  Drain",
    "6  Refusal",
    "7  Cost",
    "8  Without the agent",
];

/// Everything that a demo makes has its process id in its name, or lies below its temporary directory.
struct Traces {
    temporary: tempfile::TempDir,
    cgroups: PathBuf,
}

impl Traces {
    fn new() -> Self {
        // A sibling is where the demo makes its own.
        let cgroups = Cgroup::new().unwrap().path().parent().unwrap().to_owned();
        Self { temporary: tempfile::tempdir().unwrap(), cgroups }
    }

    fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Asserts that nothing is left of the demo with this process id.
    fn assert_none(&self, id: u32) {
        let left: Vec<_> = fs::read_dir(self.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        let mine = format!("shunt-lab-{id}-");
        let cgroups = fs::read_dir(&self.cgroups).unwrap().flatten();
        let cgroups: Vec<_> = cgroups.map(|entry| entry.file_name()).collect();
        assert!(!cgroups.iter().any(|name| name.to_string_lossy().starts_with(&mine)), "{cgroups:?}");
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let temporary = self.path().to_str().unwrap();
        assert!(!mounts.contains(&mine) && !mounts.contains(temporary), "{mounts}");
        assert_eq!(agents(temporary), [0; 0], "an agent is left");
    }
}

/// Processes whose command line names the demo's temporary directory.
fn agents(temporary: &str) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(temporary)
    })
    .collect()
}

fn demo(traces: &Traces, manifests: &str) -> (u32, Said, Duration) {
    let mut command = shunt(&["demo", "--manifests", manifests]);
    command.env("TMPDIR", traces.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let child = command.spawn().unwrap();
    let id = child.id();
    let said = child.wait_with_output().unwrap().into();
    (id, said, start.elapsed())
}

#[test]
fn it_keeps_its_promises_and_leaves_nothing() {
    if skipped() {
        return;
    }
    let traces = Traces::new();
    let (id, said, took) = demo(&traces, &examples());
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(took < A_MINUTE, "{took:?}");
    traces.assert_none(id);
    for act in ACTS {
        assert!(said.out.contains(act), "{act}: {}", said.out);
    }
    assert_eq!(said.out.matches('✓').count(), ACTS.len(), "{}", said.out);
    assert!(!said.out.contains('✗') && !said.out.contains('\x1b'), "{}", said.out);
    assert_eq!(said.out.matches(" connections, 0 failed; ").count(), 3, "{}", said.out);
    assert!(said.out.contains("\nAll as promised in "), "{}", said.out);
    node_ports_answer(&said.out);
    clients_stay(&said.out);
    a_pod_drains(&said.out);
    let widest = said.out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(92), "{}", said.out);
}

/// What the acts show beside their verdicts: the rows are there, and no pod stands in one where it must not.
fn node_ports_answer(out: &str) {
    for (row, pods) in [
        ("node   TCP 127.0.0.1:30080", "1110"),
        ("node   TCP [::1]:30080", "1110"),
        ("node   UDP 127.0.0.1:30053", "1111"),
        ("node   UDP [::1]:30053", "1111"),
        ("node   TCP 10.244.0.1:30080", "1110"),
        ("node   TCP [fd00:10:244::1]:30080", "1110"),
        ("pod-1  TCP 10.244.0.1:30080", "1110"),
        ("pod-1  TCP [fd00:10:244::1]:30080", "1110"),
        ("pod-1  UDP 10.244.0.1:30053", "1111"),
        ("pod-1  UDP [fd00:10:244::1]:30053", "1111"),
    ] {
        assert_eq!(pods_of(out, row), [pods], "{row}: {out}");
    }
    assert!(out.contains("   pod-1  127.0.0.1 and [::1]         the pod's own: refused "), "{out}");
}

fn clients_stay(out: &str) {
    let row = |row: &str| {
        let pods = pods_of(out, row);
        assert!(pods.iter().all(|pods| pods.matches('1').count() == 1), "{row}: one pod alone: {out}");
        pods
    };
    let homes = ["from pod-1, IPv4", "from pod-1, IPv6", "from pod-2, IPv4", "from pod-2, IPv6"].map(row);
    assert!(homes.iter().all(|pods| pods.len() == 1), "{out}");
    let leaver = homes[0][0].find('1').unwrap();
    let since = format!(", pod-{} left cart", leaver + 1);
    for (client, home) in ["from pod-1, IPv4", "from pod-1, IPv6", "from pod-2, IPv4", "from pod-2, IPv6"]
        .into_iter()
        .zip(&homes)
    {
        let moved = row(&format!("{client}{since}"));
        let lost = home == &homes[0];
        assert_eq!(moved.len(), usize::from(lost), "{client} moves if its pod left: {out}");
        assert!(moved.iter().all(|pods| pods != &home[0]), "{client} is elsewhere: {out}");
    }
}

fn a_pod_drains(out: &str) {
    for (row, pods) in [
        ("new, pod-2 ready", &["1111"][..]),
        ("new, pod-2 terminating", &["1011"]),
        ("new, pod-2 the last one", &["0100"]),
        ("its 6 old sockets", &["0100", "0100"]),
        ("new, pod-2 gone", &["1011"]),
        ("its 2 old TCP connections", &["0100"]),
    ] {
        assert_eq!(pods_of(out, row), pods, "{row}: {out}");
    }
    let moved = pods_of(out, "its 2 old unconnected UDP sockets");
    assert!(moved.len() == 1 && moved[0] != "0000" && !moved[0][1..].starts_with('1'), "{out}");
    let closed = "   its 2 old connected UDP sockets    closed after ";
    assert!(out.contains(closed), "{out}");
}

/// Of each row that is called so: which of the four pods have answered.
fn pods_of(out: &str, row: &str) -> Vec<String> {
    const FIRST: usize = 38;
    const COLUMN: usize = 13;
    let start = format!("   {row:35}");
    let rows = out.lines().filter(|line| line.starts_with(&start));
    let cells = rows.map(|line| {
        let cells: Vec<char> = line.chars().skip(FIRST).collect();
        cells.chunks(COLUMN).map(|cell| if cell[0] == '-' { '0' } else { '1' }).collect()
    });
    cells.collect()
}

#[test]
fn a_promise_that_is_not_kept_is_named_and_exit_code_1() {
    if skipped() {
        return;
    }
    let manifests = tempfile::tempdir().unwrap();
    copy_examples(manifests.path());
    let edit = |name: &str, from: &str, to: &str| {
        let path = manifests.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name}");
        fs::write(path, text.replace(from, to)).unwrap();
    };
    // The node has another IPv6 address than its object says.
    edit("node.yaml", "fd00:10:244::1\"", "fd00:10:244::2\"");
    // Clients of a Service that should keep them have no pod of their own.
    edit("cart.yaml", "sessionAffinity: ClientIP", "sessionAffinity: None");
    // A Service that nothing should stand behind has an endpoint.
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
        metadata: {name: empty-1, labels: {kubernetes.io/service-name: empty}}\n\
        addressType: IPv4\nports: [{name: '', port: 8080}]\nendpoints: [{addresses: [10.244.0.14]}]\n";
    fs::write(manifests.path().join("not-empty.yaml"), slice).unwrap();
    let traces = Traces::new();
    let (id, said, _) = demo(&traces, manifests.path().to_str().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{}", said.out);
    for (act, fault) in [
        (2, "pod-1  TCP [fd00:10:244::1]:30080: 6 of 6 failed, the first with: "),
        (3, "from pod-1, IPv4: pod-"),
        (6, "empty TCP 10.96.0.99:80: 200 of 200 were not refused: the client would have waited\n"),
    ] {
        assert!(said.out.contains(&format!("   ✗ {fault}")), "where it happens: {}", said.out);
        assert!(said.out.contains(&format!("   act {act}: {fault}")), "and at the end: {}", said.out);
    }
    assert_eq!(said.out.matches('✓').count(), ACTS.len() - 3, "the others hold: {}", said.out);
    traces.assert_none(id);
}

#[test]
fn a_signal_ends_it_and_leaves_nothing() {
    if skipped() {
        return;
    }
    for (kind, act) in [(Signal::INT, ACTS[2]), (Signal::TERM, ACTS[4]), (Signal::INT, "Shunt ")] {
        let traces = Traces::new();
        let mut command = shunt(&["demo", "--manifests", &examples()]);
        command.env("TMPDIR", traces.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start(&mut command).unwrap();
        let child = process.child();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with(act)), "{act}");
        let sent = Instant::now();
        signal(child.id(), kind);
        let last = lines.last();
        let status = child.wait().unwrap();
        assert!(sent.elapsed() < LIMIT, "{:?}", sent.elapsed());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(status.code(), Some(130), "{last:?} {err}");
        assert_eq!(err, "shunt: interrupted; everything that the demo made is removed\n");
        traces.assert_none(child.id());
    }
}

#[test]
fn manifests_without_the_services_that_it_shows_are_named() {
    if skipped() {
        return;
    }
    let traces = Traces::new();
    let (id, said, _) = demo(&traces, &format!("{}/dns.yaml", examples()));
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
    let wanted = "the manifests have no Service default/web (TCP, IPv4), Service default/web (TCP, IPv6), \
        Service default/cart (TCP, IPv4), Service default/cart (TCP, IPv6), \
        Service default/empty (TCP, IPv4), address of Node lab-node (IPv4), \
        address of Node lab-node (IPv6), which the demo shows";
    assert!(said.err.contains(wanted), "{}", said.err);
    traces.assert_none(id);
}
