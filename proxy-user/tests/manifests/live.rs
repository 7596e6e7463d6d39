//! Manifests that are followed live.

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
