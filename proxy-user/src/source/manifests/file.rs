//! One manifest file: what it held when it could last be read, object by object.

use super::{
    document,
    object::{Found, Object, Outcome},
    problem::{Place, Problem},
};
use crate::source::kubernetes::ObjectId;
use std::{
    collections::HashMap,
    fs,
    hash::{DefaultHasher, Hasher},
    io,
    path::Path,
    sync::Arc,
};

/// An object and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: ObjectId,
    pub(super) object: Arc<Object>,
    pub(super) place: Place,
}

/// What the last look at a file saw; the same sight twice is not read twice.
#[derive(PartialEq, Eq, Default, Debug)]
enum Sight {
    #[default]
    Never,
    /// Length and hash, so that a file need not be kept in memory to be compared.
    Content(usize, u64),
    Unreadable(String),
}

/// A manifest file.
#[derive(Debug)]
pub(super) struct File {
    path: Arc<Path>,
    sight: Sight,
    /// Objects in the order of the file.
    entries: Vec<Entry>,
    /// Some of it could not be understood.
    broken: bool,
}

/// The file does not exist.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Gone;

impl File {
    pub(super) fn new(path: Arc<Path>) -> Self {
        Self { path, sight: Sight::default(), entries: Vec::new(), broken: false }
    }

    pub(super) fn path(&self) -> &Arc<Path> {
        &self.path
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// True if some of the file could not be understood.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Reads the file again if it changed, and says what was wrong with it if so.
    pub(super) fn refresh(&mut self) -> Result<Vec<Problem>, Gone> {
        let (sight, found) = match fs::read(&self.path) {
            Ok(bytes) => {
                let sight = Sight::Content(bytes.len(), hash(&bytes));
                if sight == self.sight {
                    return Ok(Vec::new());
                }
                (sight, parse(&self.path, &bytes))
            }
            Err(error) if is_gone(&error) => return Err(Gone),
            Err(error) => {
                let text = format!("reading: {error}; its objects stay as they were");
                let sight = Sight::Unreadable(text.clone());
                if sight == self.sight {
                    return Ok(Vec::new());
                }
                let mut found = Found::default();
                found.broken(&Place::file(self.path.clone()), None, text);
                (sight, found)
            }
        };
        self.sight = sight;
        self.broken = found.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Broken(_)));
        self.entries = keep_last_good(&self.entries, found.outcomes);
        Ok(found.problems)
    }
}

/// True where an error means that there is no such file.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// SipHash with fixed keys: good enough against chance, and whoever can write a manifest needs no
/// collision to be believed.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn parse(path: &Arc<Path>, bytes: &[u8]) -> Found {
    let file = Place::file(path.clone());
    let mut found = Found::default();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            found.broken(&file, None, format!("is not UTF-8: {error}"));
            return found;
        }
    };
    let json = path.extension().is_some_and(|extension| extension == "json");
    let documents = if json { document::json(text) } else { document::yaml(text) };
    for document in documents {
        let place = file.document(document.number);
        match document.value {
            Ok(value) => found.read(&place, value),
            Err(error) => found.broken(&place, None, error),
        }
    }
    found
}

/// The objects of a file after a reading: the good ones as read, and for each broken one what it was
/// before. A broken document that does not even tell its name may have been any of those that are not
/// there now, so then they all stay.
fn keep_last_good(before: &[Entry], outcomes: Vec<(Place, Outcome)>) -> Vec<Entry> {
    // Of an object that was there twice, the last one was in force.
    let before: HashMap<&ObjectId, &Entry> = before.iter().map(|entry| (&entry.id, entry)).collect();
    let nameless = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Broken(None)));
    let mut missing: HashMap<&ObjectId, &Entry> = if nameless { before.clone() } else { HashMap::new() };
    let mut entries = Vec::with_capacity(outcomes.len());
    for (place, outcome) in outcomes {
        match outcome {
            Outcome::Good(id, object) => {
                missing.remove(&id);
                entries.push(Entry { id, object: Arc::new(object), place });
            }
            Outcome::Ignored(id) => {
                missing.remove(&id);
            }
            Outcome::Broken(Some(id)) => {
                missing.remove(&id);
                entries.extend(before.get(&id).map(|&entry| entry.clone()));
            }
            Outcome::Broken(None) => {}
        }
    }
    let mut kept: Vec<Entry> = missing.into_values().cloned().collect();
    kept.sort_by(|one, other| one.id.cmp(&other.id));
    // Kept ones first: where another document of the file now has the object, that one counts.
    kept.extend(entries);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Node;

    fn node(name: &str, zone: &str) -> (ObjectId, Object) {
        let node = Node { name: name.into(), zone: Some(zone.into()), ..Node::default() };
        (ObjectId::from(&node), Object::Node(node))
    }

    /// `name=zone` of each entry.
    fn dump(entries: &[Entry]) -> Vec<String> {
        let text = |entry: &Entry| match &*entry.object {
            Object::Node(node) => format!("{}={}", node.name, node.zone.as_deref().unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        entries.iter().map(text).collect()
    }

    #[test]
    fn what_stays_of_a_file_that_is_partly_broken() {
        let place = Place::file(Path::new("f"));
        let good = |name: &str, zone: &str| {
            let (id, object) = node(name, zone);
            (place.clone(), Outcome::Good(id, object))
        };
        let id = |name: &str| node(name, "").0;
        let ignored = |name: &str| (place.clone(), Outcome::Ignored(id(name)));
        let broken = |name: &str| (place.clone(), Outcome::Broken(Some(id(name))));
        let nameless = || (place.clone(), Outcome::Broken(None));

        let before = keep_last_good(&[], vec![good("a", "1"), good("b", "1"), good("c", "1")]);
        let table: [(&str, Vec<_>, &[&str]); 7] = [
            ("all gone", vec![], &[]),
            ("one changed, one gone", vec![good("a", "2"), good("b", "1")], &["a=2", "b=1"]),
            ("a broken one stays, an absent one goes", vec![good("a", "2"), broken("b")], &["a=2", "b=1"]),
            ("broken and never read", vec![broken("x")], &[]),
            ("nothing readable", vec![nameless()], &["a=1", "b=1", "c=1"]),
            ("a nameless one may be any", vec![good("a", "2"), nameless()], &["b=1", "c=1", "a=2"]),
            ("ignored is read", vec![ignored("a"), nameless(), broken("c")], &["b=1", "c=1"]),
        ];
        for (what, outcomes, expected) in table {
            assert_eq!(dump(&keep_last_good(&before, outcomes)), expected, "{what}");
        }
    }
}
