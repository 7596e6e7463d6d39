//! Manifests that are read again after a change.

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
    assert!(problem.starts_with(&lost) && problem.ends_with("; its objects stay as they were"), "{problem}");
    let back = edited.set.reload();
    assert_eq!((back.events, back.complete), (Vec::new(), Some(true)));
}
