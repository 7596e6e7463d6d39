//! Bytes as manifest files: beside a sound file, inside of one, and as a member of a List.

use super::{
    agent::{self, Agent},
    rules::World,
    sound,
};
use serde_json::{Value, json};
use shunt::source::manifests::{Changes, ManifestSet, Problem, Severity};
use std::{fs, path::Path};
use tempfile::TempDir;

/// Nesting below which a value can be a member of a List: serde_json reads 128 levels.
const NESTING: usize = 100;

/// Reads `bytes` as YAML and as JSON. Never a panic; a sound Service is served whatever stands beside
/// it; the maps are those of a fresh start; and what is deleted leaves nothing behind.
pub fn manifests(bytes: &[u8]) {
    if bytes.windows(sound::NAME.len()).any(|word| word == sound::NAME.as_bytes()) {
        // Who names the sound objects may well replace them.
        return;
    }
    beside(bytes);
    inside("sound.yaml", &among_documents(bytes));
    // What follows a syntax error in a JSON file is lost, what comes before is not.
    inside("sound.json", &[list(Vec::new()).to_string().as_bytes(), bytes].join(&b'\n'));
    if let Ok(value) = serde_json::from_slice(bytes)
        && nesting(&value) < NESTING
    {
        inside_list(vec![value]);
    }
}

/// Reads `members` as a List beside the sound objects.
pub fn inside_list(members: Vec<Value>) {
    inside("list.json", list(members).to_string().as_bytes());
}

/// The sound objects as a List, with others in their midst.
fn list(members: Vec<Value>) -> Value {
    let items: Vec<_> = [sound::service()].into_iter().chain(members).chain(sound::slices()).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// The sound objects as YAML documents, with `bytes` in their midst.
fn among_documents(bytes: &[u8]) -> Vec<u8> {
    // A directive belongs to the `---` that follows it, unless the document is ended.
    let end = if bytes.contains(&b'%') { "...\n---" } else { "---" };
    let ([one, other], service) = (sound::slices(), sound::service());
    let (before, after) = (format!("{service}\n---\n"), format!("\n{end}\n{one}\n---\n{other}\n"));
    [before.as_bytes(), bytes, after.as_bytes()].concat()
}

fn nesting(value: &Value) -> usize {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(nesting).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}

/// Files in a directory, and an agent that follows them.
struct Directory {
    path: TempDir,
    set: ManifestSet,
    agent: Agent,
}

impl Directory {
    /// Starts with the sound objects in the file `name`.
    fn start(name: &str) -> Self {
        let path = temporary();
        fs::write(path.path().join(name), list(Vec::new()).to_string()).unwrap();
        let (set, changes) = ManifestSet::load([path.path()]).unwrap();
        assert_eq!(changes.problems, []);
        let agent = Agent::start(&agent::ample(), changes.events);
        Self { path, set, agent }
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path.path().join(name), content).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path.path().join(name)).unwrap();
    }

    /// Reads the files again; false where they claim what is the sound objects'.
    fn reload(&mut self) -> bool {
        let changes = self.set.reload();
        assert!(self.set.reload().is_empty(), "nothing changed since");
        assert_readable(&changes);
        if changes.events.iter().any(sound::concerns) {
            return false;
        }
        changes.events.into_iter().for_each(|event| self.agent.apply(event));
        self.agent.sync();
        true
    }

    /// An agent that starts now is told of the same objects.
    fn assert_same_as_fresh(&self) {
        let (_, changes) = ManifestSet::load([self.path.path()]).unwrap();
        assert_readable(&changes);
        let mut world = World::default();
        changes.events.iter().for_each(|event| world.apply(event));
        assert_eq!(world.list(), self.agent.world().list());
    }

    /// All files go.
    fn end(mut self) {
        for entry in fs::read_dir(self.path.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let deletions = self.set.reload().events;
        self.agent.end(deletions);
    }
}

/// Files of both kinds beside a sound one.
fn beside(bytes: &[u8]) {
    let mut directory = Directory::start("sound.yaml");
    let before = directory.agent.content();
    let names = ["a.yaml", "z.json"];
    names.iter().for_each(|name| directory.write(name, bytes));
    if !directory.reload() {
        return;
    }
    directory.assert_same_as_fresh();
    directory.agent.assert_history_leaves_no_trace();
    names.iter().for_each(|name| directory.remove(name));
    assert!(directory.reload());
    assert_eq!(directory.agent.content(), before, "after the files were removed");
    directory.end();
}

/// A file that held the sound objects alone, and then `content`, which holds them, too.
fn inside(name: &str, content: &[u8]) {
    let mut directory = Directory::start(name);
    directory.write(name, content);
    if !directory.reload() {
        return;
    }
    // What is no text tells nothing at a fresh start; here the file goes on saying what it said.
    if std::str::from_utf8(content).is_ok() {
        directory.assert_same_as_fresh();
    }
    directory.end();
}

/// Every problem names its place and fits on one line of a log, whatever the bytes are; a warning names
/// the object and the field.
fn assert_readable(changes: &Changes) {
    for problem in &changes.problems {
        let Problem { severity, place, text } = problem;
        let line = problem.to_string();
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(!text.is_empty() && line.len() < 1 << 17, "{line:?}");
        if *severity == Severity::Warning && place.document.is_some() {
            assert!(!place.object.is_empty(), "a warning without object: {line:?}");
        }
    }
}

/// In memory where possible: the files are written some thousand times per second.
fn temporary() -> TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap()
}
