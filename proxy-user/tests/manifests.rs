//! Manifest files as a user has them: loaded, followed while they change, broken and mended.
#![cfg(feature = "manifests")]
// Clippy spares `#[test]` functions only, not the helpers beside them.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shunt::{
    model::{EndpointSlice, Event, Node, ObjectName, Service},
    source::manifests::{Changes, ManifestSet, ManifestWatcher, Severity},
};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a receiver of the events has.
#[derive(Clone, PartialEq, Debug, Default)]
struct State {
    nodes: BTreeMap<String, Node>,
    services: BTreeMap<ObjectName, Service>,
    slices: BTreeMap<ObjectName, EndpointSlice>,
    problems: Vec<String>,
}

impl State {
    fn of(changes: Changes) -> Self {
        let mut state = Self::default();
        state.apply(changes);
        state
    }

    fn apply(&mut self, changes: Changes) {
        for event in changes.events {
            match event {
                Event::NodeApplied(node) => drop(self.nodes.insert(node.name.to_string(), node)),
                Event::ServiceApplied(service) => drop(self.services.insert(service.name.clone(), service)),
                Event::SliceApplied(slice) => drop(self.slices.insert(slice.name.clone(), slice)),
                Event::NodeDeleted(name) => drop(self.nodes.remove(name.as_str()).expect("it was there")),
                Event::ServiceDeleted(name) => drop(self.services.remove(&name).expect("it was there")),
                Event::SliceDeleted(name) => drop(self.slices.remove(&name).expect("it was there")),
            }
        }
        self.problems.extend(changes.problems.iter().map(ToString::to_string));
    }

    /// `namespace/name=first cluster address`, of each Service.
    fn services(&self) -> Vec<String> {
        let address = |service: &Service| service.cluster_ips.first().map(ToString::to_string);
        let text = |service: &Service| format!("{}={}", service.name, address(service).unwrap_or_default());
        self.services.values().map(text).collect()
    }
}

fn service(name: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec:\n  clusterIP: {address}\n  ports: [{{port: 80}}]\n"
    )
}

fn documents(documents: &[String]) -> String {
    documents.join("---\n")
}

fn load(path: &Path) -> (ManifestSet, State) {
    let (set, changes) = ManifestSet::load([path]).unwrap();
    (set, State::of(changes))
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

mod once {
    use super::*;

    #[test]
    fn the_examples_are_what_the_demo_needs() {
        let (_, state) = load(&examples());
        assert_eq!(state.problems, [""; 0]);
        assert_eq!(
            state.services(),
            ["default/empty=10.96.0.99", "default/web=10.96.0.10", "kube-system/kube-dns=10.96.0.53"]
        );
        assert_eq!(state.nodes["lab-node"].zone.as_deref(), Some("zone-a"));

        let addresses = |name: &str| -> Vec<String> {
            let slices = state.slices.values().filter(|slice| slice.service == name);
            let check = |endpoint: &shunt::model::Endpoint| {
                assert_eq!(endpoint.node.as_deref(), Some("lab-node"));
                assert!(endpoint.conditions.ready);
                endpoint.address.to_string()
            };
            slices.flat_map(|slice| slice.endpoints.iter().map(check)).collect()
        };
        let pods = |last: usize| -> Vec<String> {
            let v4 = (1..=last).map(|pod| format!("10.244.0.{}", 10 + pod));
            v4.chain((1..=last).map(|pod| format!("fd00:10:244::{}", 10 + pod))).collect()
        };
        assert_eq!(addresses("web"), pods(3));
        assert_eq!(addresses("kube-dns"), pods(4));
        assert!(addresses("empty").is_empty());

        for service in state.services.values().filter(|service| service.name.name != "empty") {
            assert_eq!(service.cluster_ips.len(), 2);
            for slice in state.slices.values().filter(|slice| slice.service == service.name.name) {
                let ends: Vec<_> = slice.ports.iter().map(|port| (&port.name, port.protocol)).collect();
                let fronts: Vec<_> = service.ports.iter().map(|port| (&port.name, port.protocol)).collect();
                assert_eq!(ends, fronts, "{}", slice.name);
            }
        }
    }

    #[test]
    fn a_directory_gives_its_manifests_in_order_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        write("b.yml", &service("web", "10.0.0.2"));
        write("a.yaml", &service("web", "10.0.0.1"));
        write(
            "c.json",
            r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "json"},
                "spec": {"clusterIP": "10.0.0.3", "ports": [{"port": 80}]}}"#,
        );
        write(".hidden.yaml", &service("hidden", "10.0.0.4"));
        write("notes.txt", &service("text", "10.0.0.5"));
        write("web.yaml~", &service("backup", "10.0.0.6"));
        fs::create_dir(directory.path().join("deeper.yaml")).unwrap();
        symlink("nowhere", directory.path().join("dangling.yaml")).unwrap();

        let (_, state) = load(directory.path());
        assert_eq!(state.services(), ["default/json=10.0.0.3", "default/web=10.0.0.2"]);
        let (a, b) = (directory.path().join("a.yaml"), directory.path().join("b.yml"));
        let place = |path: &Path| format!("{}, document 1 (Service default/web)", path.display());
        let twice = format!("{}: is also at {}; this one, the last, counts", place(&b), place(&a));
        assert_eq!(state.problems, [twice]);

        // A file that is given and found is one file.
        let (_, changes) = ManifestSet::load([directory.path(), &a, &b]).unwrap();
        assert_eq!(State::of(changes), state);
    }

    #[test]
    fn a_bad_document_is_named_and_left_out() {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        let bad = service("web", "10.0.0.2").replace("80", "http");
        let text = documents(&[service("a", "10.0.0.1"), bad, "a: [\n".into(), service("z", "10.0.0.9")]);
        fs::write(file.path(), text).unwrap();
        let (_, changes) = ManifestSet::load([file.path()]).unwrap();
        assert!(changes.problems.iter().all(|problem| problem.severity == Severity::Error));
        let state = State::of(changes);
        assert_eq!(state.services(), ["default/a=10.0.0.1", "default/z=10.0.0.9"]);
        let name = file.path().display();
        assert_eq!(
            state.problems[0],
            format!(
                "{name}, document 2 (Service default/web): \
                 spec.ports[0].port: invalid type: string \"http\", expected i32"
            )
        );
        assert!(state.problems[1].starts_with(&format!("{name}, document 3: ")), "{:?}", state.problems);
        assert!(state.problems[1].contains(" at line 1"), "{:?}", state.problems);
    }

    #[test]
    fn a_list_and_other_kinds() {
        let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        fs::write(
            file.path(),
            r#"{"apiVersion": "v1", "kind": "List", "items": [
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}},
                {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": "x"}},
                {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}]}"#,
        )
        .unwrap();
        let (_, state) = load(file.path());
        assert_eq!(Vec::from_iter(state.nodes.keys()), ["n"]);
        let document = format!("{}, document 1, ", file.path().display());
        let pod = "items[0] (Pod pod): not a kind that a service proxy reads, skipped";
        let web =
            "items[1] (Service default/web): spec.ports: invalid type: string \"x\", expected a sequence";
        assert_eq!(state.problems, [format!("{document}{pod}"), format!("{document}{web}")]);
    }

    #[test]
    fn paths_that_lead_nowhere_are_errors_that_name_them() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing.yaml");
        let expected = format!("{}: stat: No such file or directory (os error 2)", missing.display());
        let paths = [directory.path(), &missing];
        assert_eq!(ManifestSet::load(paths).unwrap_err().to_string(), expected);
        assert_eq!(ManifestWatcher::start(paths).unwrap_err().to_string(), expected);
        let device = ManifestSet::load(["/dev/null"]).unwrap_err();
        assert_eq!(device.to_string(), "/dev/null: stat: is neither a file nor a directory");

        let (_, empty) = load(directory.path());
        let warning = format!("{}: no *.yaml, *.yml or *.json in this directory", directory.path().display());
        assert_eq!(empty.problems, [warning]);
    }

    #[test]
    fn text_that_is_not_utf8_or_has_a_mark_in_front() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("latin.yaml"), b"# caf\xe9\n").unwrap();
        let marked = format!("\u{feff}{}", service("web", "10.0.0.1"));
        fs::write(directory.path().join("mark.yaml"), marked).unwrap();
        let (_, state) = load(directory.path());
        assert_eq!(state.services(), ["default/web=10.0.0.1"]);
        assert_eq!(state.problems.len(), 1);
        assert!(state.problems[0].contains("latin.yaml: is not UTF-8"), "{:?}", state.problems);
    }
}

mod again {
    use super::*;

    /// A file that is written again and again.
    struct Edited {
        directory: TempDir,
        set: ManifestSet,
        state: State,
    }

    impl Edited {
        fn new(text: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join("f.yaml"), text).unwrap();
            let (set, state) = load(directory.path());
            assert_eq!(state.problems, [""; 0]);
            Self { directory, set, state }
        }

        /// Writes the file and returns the number of events and of problems.
        fn write(&mut self, text: impl AsRef<[u8]>) -> (usize, usize) {
            fs::write(self.directory.path().join("f.yaml"), text).unwrap();
            let changes = self.set.reload();
            let counts = (changes.events.len(), changes.problems.len());
            self.state.apply(changes);
            counts
        }
    }

    #[test]
    fn only_differences_are_delivered() {
        let (a, b) = (service("a", "10.0.0.1"), service("b", "10.0.0.2"));
        let mut edited = Edited::new(&documents(&[a.clone(), b.clone()]));
        assert_eq!(edited.write(documents(&[a.clone(), b.clone()])), (0, 0));
        assert_eq!(edited.write(documents(&[b.clone(), "# moved\n".into(), a.clone()])), (0, 0));
        assert_eq!(edited.write(documents(&[a.clone(), service("b", "10.0.0.3")])), (1, 0));
        assert_eq!(edited.write(&a), (1, 0));
        assert_eq!(edited.state.services(), ["default/a=10.0.0.1"]);
        assert_eq!(edited.write(""), (1, 0));
        assert_eq!(edited.write(documents(&[a, b])), (2, 0));
    }

    #[test]
    fn an_address_that_moves_is_given_up_before_it_is_taken() {
        let mut edited = Edited::new(&service("zebra", "10.0.0.1"));
        fs::write(edited.directory.path().join("f.yaml"), service("ant", "10.0.0.1")).unwrap();
        let events = edited.set.reload().events;
        assert!(matches!(&events[..], [Event::ServiceDeleted(_), Event::ServiceApplied(_)]), "{events:?}");
    }

    #[test]
    fn what_breaks_stays_as_it_was() {
        let (a, b, c) = (service("a", "10.0.0.1"), service("b", "10.0.0.2"), service("c", "10.0.0.3"));
        let all = ["default/a=10.0.0.1", "default/b=10.0.0.2", "default/c=10.0.0.3"];
        let broken = b.replace("80", "eighty");
        let mut edited = Edited::new(&documents(&[a.clone(), b.clone(), c.clone()]));

        // One document, which says its name: it stays, another one that is removed goes.
        assert_eq!(edited.write(documents(&[a.clone(), broken.clone(), c.clone()])), (0, 1));
        assert_eq!(edited.write(documents(&[a.clone(), broken.clone()])), (1, 1));
        assert_eq!(edited.state.services(), all[..2]);
        assert_eq!(edited.write(documents(&[service("a", "10.0.0.7"), broken])), (1, 1));
        assert_eq!(edited.state.services(), ["default/a=10.0.0.7", "default/b=10.0.0.2"]);

        // A document that cannot be read at all may be any of those that are missing.
        assert_eq!(edited.write(documents(&[a.clone(), "{\n".into(), c.clone()])), (2, 1));
        assert_eq!(edited.state.services(), all);

        // The whole file.
        assert_eq!(edited.write(b"\xff\xfe"), (0, 1));
        assert_eq!(edited.write("\tx: ]\n"), (0, 1));
        assert_eq!(edited.state.services(), all);

        // The same broken file is not reported again.
        assert!(edited.set.reload().is_empty());
        assert_eq!(edited.write(documents(&[a, b, c])), (0, 0));
    }

    #[test]
    fn an_object_that_the_proxy_begins_to_ignore_is_deleted() {
        let slice = |labels: &str| {
            format!(
                "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
                 metadata:\n  name: s\n  labels: {{{labels}}}\n\
                 addressType: IPv4\nports: []\nendpoints: []\n"
            )
        };
        let named = "kubernetes.io/service-name: web";
        let mut edited = Edited::new(&slice(named));
        assert_eq!(edited.state.slices.len(), 1);
        let headless = format!("{named}, service.kubernetes.io/headless: ''");
        assert_eq!(edited.write(slice(&headless)), (1, 0));
        assert!(edited.state.slices.is_empty());
        assert_eq!(edited.write(slice("")), (0, 1));
        assert_eq!(edited.write(slice(named)), (1, 0));
    }

    #[test]
    fn duplicates_are_told_once_and_the_other_takes_over() {
        let mut edited = Edited::new(&service("web", "10.0.0.1"));
        let other = edited.directory.path().join("g.yaml");
        fs::write(&other, service("web", "10.0.0.2")).unwrap();
        let changes = edited.set.reload();
        assert_eq!((changes.events.len(), changes.problems.len()), (1, 1));
        assert!(edited.set.reload().is_empty());
        fs::remove_file(other).unwrap();
        let changes = edited.set.reload();
        assert_eq!(changes.problems, []);
        assert_eq!(State::of(changes).services(), ["default/web=10.0.0.1"]);
    }

    #[test]
    fn a_directory_that_goes_away_takes_nothing_along() {
        let mut edited = Edited::new(&service("web", "10.0.0.1"));
        let here = edited.directory.path().to_owned();
        let away = here.with_extension("away");
        fs::rename(&here, &away).unwrap();
        let changes = edited.set.reload();
        fs::rename(&away, &here).unwrap();
        assert_eq!(changes.events, []);
        assert_eq!(changes.complete, Some(false));
        let lost = format!("{}: stat: ", here.display());
        let problem = changes.problems[0].to_string();
        assert!(
            problem.starts_with(&lost) && problem.ends_with("; its objects stay as they were"),
            "{problem}"
        );
        let back = edited.set.reload();
        assert_eq!((back.events, back.complete), (Vec::new(), Some(true)));
    }
}

mod live {
    use super::*;

    /// A watcher, and what it delivered so far.
    struct Live {
        watcher: ManifestWatcher,
        state: State,
    }

    impl Live {
        fn start(path: &Path) -> Self {
            let (watcher, first) = ManifestWatcher::start([path]).unwrap();
            Self { watcher, state: State::of(first) }
        }

        /// Waits until the Services are these.
        fn until(&mut self, services: &[&str]) {
            let deadline = Instant::now() + Duration::from_secs(10);
            while self.state.services() != services {
                let rest = deadline.saturating_duration_since(Instant::now());
                assert!(!rest.is_zero(), "{:?} instead of {services:?}", self.state.services());
                if let Some(changes) = self.watcher.recv_timeout(rest) {
                    self.state.apply(changes);
                }
            }
        }

        /// Nothing happens for longer than any burst lasts.
        fn quiet(&mut self) {
            let changes = self.watcher.recv_timeout(Duration::from_millis(400));
            assert_eq!(changes, None);
        }
    }

    /// Writes beside the file and renames over it.
    fn save_by_rename(path: &Path, text: &str) {
        let beside = path.with_extension("tmp");
        fs::write(&beside, text).unwrap();
        fs::rename(beside, path).unwrap();
    }

    #[test]
    fn a_file_in_every_way_that_it_may_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("web.yaml");
        fs::write(&file, service("web", "10.0.0.1")).unwrap();
        let mut live = Live::start(&file);
        live.until(&["default/web=10.0.0.1"]);

        save_by_rename(&file, &service("web", "10.0.0.2"));
        live.until(&["default/web=10.0.0.2"]);
        fs::write(&file, service("web", "10.0.0.3")).unwrap();
        live.until(&["default/web=10.0.0.3"]);
        save_by_rename(&file, &service("web", "10.0.0.4"));
        live.until(&["default/web=10.0.0.4"]);

        // As vim: the old file aside, a new one in its place.
        fs::rename(&file, directory.path().join("web.yaml~")).unwrap();
        fs::write(&file, service("web", "10.0.0.5")).unwrap();
        live.until(&["default/web=10.0.0.5"]);

        fs::remove_file(&file).unwrap();
        live.until(&[]);
        fs::write(&file, service("web", "10.0.0.6")).unwrap();
        live.until(&["default/web=10.0.0.6"]);

        // Its neighbours are of no interest, and saving the same is no change.
        fs::write(directory.path().join("dns.yaml"), service("dns", "10.0.0.9")).unwrap();
        fs::write(&file, service("web", "10.0.0.6")).unwrap();
        live.quiet();

        fs::remove_dir_all(directory.path()).unwrap();
        live.until(&[]);
        fs::create_dir(directory.path()).unwrap();
        fs::write(&file, service("web", "10.0.0.7")).unwrap();
        live.until(&["default/web=10.0.0.7"]);
    }

    #[test]
    fn a_file_that_is_written_slowly_is_read_when_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("web.yaml");
        fs::write(&file, documents(&[service("a", "10.0.0.1"), service("b", "10.0.0.2")])).unwrap();
        let mut live = Live::start(directory.path());
        let mut writer = fs::File::create(&file).unwrap();
        writer.write_all(service("a", "10.0.0.1").as_bytes()).unwrap();
        // Longer than a quiet time, shorter than the longest burst.
        thread::sleep(Duration::from_millis(80));
        writer.write_all(format!("---\n{}", service("b", "10.0.0.3")).as_bytes()).unwrap();
        drop(writer);
        let changes = live.watcher.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(matches!(&changes.events[..], [Event::ServiceApplied(_)]), "{changes:?}");
        live.state.apply(changes);
        live.until(&["default/a=10.0.0.1", "default/b=10.0.0.3"]);
    }

    #[test]
    fn a_broken_save_keeps_what_was_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("web.yaml");
        fs::write(&file, service("web", "10.0.0.1")).unwrap();
        let mut live = Live::start(directory.path());
        fs::write(&file, "spec: {").unwrap();
        let changes = live.watcher.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(changes.events, []);
        assert_eq!(changes.problems[0].severity, Severity::Error);
        fs::write(&file, service("web", "10.0.0.2")).unwrap();
        live.until(&["default/web=10.0.0.2"]);
    }

    #[test]
    fn files_come_and_go_in_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let mut live = Live::start(directory.path());
        assert_eq!(live.state.problems.len(), 1);
        let file = |name: &str| directory.path().join(name);
        fs::write(file("a.yaml"), service("a", "10.0.0.1")).unwrap();
        live.until(&["default/a=10.0.0.1"]);
        fs::write(file("b.json.tmp"), service("b", "10.0.0.2")).unwrap();
        fs::rename(file("b.json.tmp"), file("b.yml")).unwrap();
        live.until(&["default/a=10.0.0.1", "default/b=10.0.0.2"]);
        fs::rename(file("a.yaml"), file("a.off")).unwrap();
        live.until(&["default/b=10.0.0.2"]);

        // A link to a file elsewhere, which changes there.
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("c");
        fs::write(&target, service("c", "10.0.0.3")).unwrap();
        symlink(&target, file("c.yaml")).unwrap();
        live.until(&["default/b=10.0.0.2", "default/c=10.0.0.3"]);
        fs::write(&target, service("c", "10.0.0.4")).unwrap();
        live.until(&["default/b=10.0.0.2", "default/c=10.0.0.4"]);
    }

    /// What the kubelet does with a mounted ConfigMap, for the mount as a directory and one of its files.
    #[test]
    fn a_config_map_is_exchanged_by_its_link() {
        for given in ["", "web.yaml"] {
            let mount = tempfile::tempdir().unwrap();
            let at = |name: &str| mount.path().join(name);
            let version = |number: usize| {
                let name = format!("..2026_{number}");
                fs::create_dir(at(&name)).unwrap();
                fs::write(at(&name).join("web.yaml"), service("web", &format!("10.0.0.{number}"))).unwrap();
                symlink(&name, at("..data_tmp")).unwrap();
                fs::rename(at("..data_tmp"), at("..data")).unwrap();
                if number > 1 {
                    fs::remove_dir_all(at(&format!("..2026_{}", number - 1))).unwrap();
                }
            };
            version(1);
            symlink("..data/web.yaml", at("web.yaml")).unwrap();
            let mut live = Live::start(&at(given));
            live.until(&["default/web=10.0.0.1"]);
            for number in 2..6 {
                version(number);
                live.until(&[&format!("default/web=10.0.0.{number}")]);
            }
        }
    }

    #[test]
    fn dropping_the_watcher_ends_its_thread_even_if_nobody_listened() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("web.yaml");
        let live = Live::start(directory.path());
        for number in 1..6 {
            fs::write(&file, service("web", &format!("10.0.0.{number}"))).unwrap();
            thread::sleep(Duration::from_millis(60));
        }
        let begun = Instant::now();
        drop(live);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

mod any_content {
    use super::*;

    /// Loads files of both kinds with this content.
    fn read(content: &[u8]) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.yaml"), content).unwrap();
        fs::write(directory.path().join("b.json"), content).unwrap();
        let (mut set, _) = load(directory.path());
        assert!(set.reload().is_empty());
    }

    fn example() -> impl Strategy<Value = Vec<u8>> {
        let names = vec!["node.yaml", "web.yaml", "dns.yaml", "empty.yaml"];
        prop::sample::select(names).prop_map(|name| fs::read(examples().join(name)).unwrap())
    }

    /// An example with some of its bytes changed, cut out or doubled.
    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        const MARKS: &[u8] = b"-:{}[]#&*!|>'\"%@`,? \n\t0";
        let edit = (any::<prop::sample::Index>(), 0_usize..4, any::<u8>(), 1_usize..40);
        (example(), prop::collection::vec(edit, 1..12)).prop_map(|(mut text, edits)| {
            for (place, what, byte, length) in edits {
                if text.is_empty() {
                    break;
                }
                let at = place.index(text.len());
                let end = (at + length).min(text.len());
                match what {
                    0 => text[at] = byte,
                    1 => text.insert(at, MARKS[usize::from(byte) % MARKS.len()]),
                    2 => drop(text.drain(at..end)),
                    _ => {
                        let copy = text[at..end].to_vec();
                        text.splice(at..at, copy);
                    }
                }
            }
            text
        })
    }

    /// Two files of three Services, as numbers: which address each has; 0 for none.
    type Version = [[u8; 3]; 2];

    fn write(directory: &Path, version: &Version) {
        for (file, addresses) in ["a.yaml", "b.yaml"].into_iter().zip(version) {
            let there = addresses.iter().enumerate().filter(|(_, address)| **address != 0);
            let text: Vec<_> = there
                .map(|(index, address)| service(&format!("s{index}"), &format!("10.0.0.{address}")))
                .collect();
            let path = directory.join(file);
            if text.is_empty() {
                let _ = fs::remove_file(path);
            } else {
                fs::write(path, documents(&text)).unwrap();
            }
        }
    }

    fn versions() -> impl Strategy<Value = Vec<Version>> {
        prop::collection::vec(prop::array::uniform2(prop::array::uniform3(0_u8..4)), 1..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bytes_never_panic(content in prop::collection::vec(any::<u8>(), 0..400)) {
            read(&content);
        }

        #[test]
        fn text_never_panics(content in "[-a:{}\\[\\]#&*!|>'\"%@,?0 \n\t.é]{0,200}") {
            read(content.as_bytes());
        }

        #[test]
        fn mutated_examples_never_panic(content in mutated()) {
            read(&content);
        }

        #[test]
        fn any_history_ends_where_a_fresh_start_does(versions in versions()) {
            let directory = tempfile::tempdir().unwrap();
            let (mut set, mut state) = load(directory.path());
            for version in &versions {
                write(directory.path(), version);
                state.apply(set.reload());
                let (_, fresh) = load(directory.path());
                prop_assert_eq!(&state.services, &fresh.services);
            }
        }
    }
}
