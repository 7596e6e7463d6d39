//! The objects of a case as files that the manifest source reads: one file per object, so that a later step may
//! replace or delete it.

use super::case::Step;
use shunt::{
    model::Event,
    source::manifests::{Changes, ManifestSet},
};
use std::fs;
use tempfile::TempDir;

pub struct Manifests {
    directory: TempDir,
    set: Option<ManifestSet>,
    /// Documents that are too broken to say what they are.
    nameless: usize,
}

/// What a step says about the cluster, as the source understands it.
#[derive(Default)]
pub struct Understood {
    pub events: Vec<Event>,
    pub problems: Vec<String>,
}

impl Manifests {
    pub fn new() -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| format!("mkdtemp: {error}"))?;
        Ok(Self { directory, set: None, nameless: 0 })
    }

    /// Whatever is there is read anew by the next step, as by an agent that has just begun.
    pub fn forget(&mut self) {
        self.set = None;
    }

    /// Carries out `delete` and `apply`, in this order: an object may be deleted and made again.
    pub fn step(&mut self, step: &Step) -> Result<Understood, String> {
        for object in &step.delete {
            let path = self.directory.path().join(file_name(object));
            fs::remove_file(path).map_err(|error| format!("delete {object}: {error}"))?;
        }
        for document in documents(&step.apply) {
            let name = object_name(&document).unwrap_or_else(|| {
                self.nameless += 1;
                format!("document/{}", self.nameless)
            });
            let path = self.directory.path().join(file_name(&name));
            fs::write(path, document).map_err(|error| format!("write {name}: {error}"))?;
        }
        self.read()
    }

    /// Deletes every object.
    pub fn delete_all(&mut self) -> Result<Understood, String> {
        let entries = fs::read_dir(self.directory.path()).map_err(|error| error.to_string())?;
        for entry in entries {
            fs::remove_file(entry.map_err(|error| error.to_string())?.path()).map_err(|e| e.to_string())?;
        }
        self.read()
    }

    fn read(&mut self) -> Result<Understood, String> {
        let Changes { events, problems, .. } = match &mut self.set {
            Some(set) => set.reload(),
            None => {
                let loaded = ManifestSet::load([self.directory.path()]).map_err(|error| error.to_string())?;
                self.set = Some(loaded.0);
                loaded.1
            }
        };
        Ok(Understood { events, problems: problems.iter().map(ToString::to_string).collect() })
    }
}

/// The documents of a text, as they are written.
fn documents(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let documents = lines.split(|line| *line == "---").map(|lines| lines.join("\n"));
    documents.filter(|document| !document.trim().is_empty()).collect()
}

/// `Service/default/web`, `Node/node-a`.
fn object_name(document: &str) -> Option<String> {
    let value: serde_json::Value = serde_saphyr::from_str(document).ok()?;
    let metadata = value.get("metadata")?;
    let (kind, name) = (value.get("kind")?.as_str()?, metadata.get("name")?.as_str()?);
    let namespace = metadata.get("namespace").and_then(serde_json::Value::as_str).unwrap_or("default");
    Some(match kind {
        "Node" | "ServiceCIDR" => format!("{kind}/{name}"),
        _ => format!("{kind}/{namespace}/{name}"),
    })
}

fn file_name(object: &str) -> String {
    format!("{}.yaml", object.replace('/', "."))
}
