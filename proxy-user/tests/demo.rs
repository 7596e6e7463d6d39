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
    for act in ["1  Spread", "2  Change", "3  Refusal", "4  Cost", "5  Without the agent"] {
        assert!(said.out.contains(act), "{act}: {}", said.out);
    }
    assert_eq!(said.out.matches('✓').count(), 5, "{}", said.out);
    assert!(!said.out.contains('✗') && !said.out.contains('\x1b'), "{}", said.out);
    for line in ["connections, 0 failed", "\nAll as promised in "] {
        assert!(said.out.contains(line), "{line}: {}", said.out);
    }
    let widest = said.out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(92), "{}", said.out);
}

#[test]
fn a_promise_that_is_not_kept_is_named_and_exit_code_1() {
    if skipped() {
        return;
    }
    // A Service that nothing should stand behind has an endpoint.
    let manifests = tempfile::tempdir().unwrap();
    copy_examples(manifests.path());
    let slice = "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
        metadata: {name: empty-1, labels: {kubernetes.io/service-name: empty}}\n\
        addressType: IPv4\nports: [{name: '', port: 8080}]\nendpoints: [{addresses: [10.244.0.14]}]\n";
    fs::write(manifests.path().join("not-empty.yaml"), slice).unwrap();
    let traces = Traces::new();
    let (id, said, _) = demo(&traces, manifests.path().to_str().unwrap());
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{}", said.out);
    let fault = "empty TCP 10.96.0.99:80: 200 of 200 were not refused: the client would have waited";
    assert!(said.out.contains(&format!("✗ {fault}\n")), "where it happens: {}", said.out);
    assert!(said.out.ends_with(&format!("   act 3: {fault}\n")), "and at the end: {}", said.out);
    assert_eq!(said.out.matches('✓').count(), 4, "the others hold: {}", said.out);
    traces.assert_none(id);
}

#[test]
fn a_signal_ends_it_and_leaves_nothing() {
    if skipped() {
        return;
    }
    for (kind, act) in [(Signal::INT, "2  Change"), (Signal::TERM, "4  Cost"), (Signal::INT, "Shunt ")] {
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
        Service default/empty (TCP, IPv4), which the demo shows";
    assert!(said.err.contains(wanted), "{}", said.err);
    traces.assert_none(id);
}
