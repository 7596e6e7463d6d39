//! From the objects of all files to events: which document counts, and what differs from before.

use super::{
    file::Entry,
    object::Object,
    problem::{Place, Problem},
};
use crate::{
    model::Event,
    source::{Severity, kubernetes::ObjectId},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Objects by name.
pub(super) type Objects = BTreeMap<ObjectId, Arc<Object>>;

/// The objects in force: of several documents with one object, the last one. Each of the others gives
/// a warning, at the document that counts.
pub(super) fn merge<'a>(entries: impl Iterator<Item = &'a Entry>) -> (Objects, Vec<Problem>) {
    let mut objects = Objects::new();
    let mut places: HashMap<&ObjectId, &Place> = HashMap::new();
    let mut problems = Vec::new();
    for entry in entries {
        objects.insert(entry.id.clone(), entry.object.clone());
        if let Some(earlier) = places.insert(&entry.id, &entry.place) {
            let text = format!("is also at {earlier}; this one, the last, counts");
            problems.push(entry.place.problem(Severity::Warning, text));
        }
    }
    (objects, problems)
}

/// The events that lead from `before` to `after`. Deletions come first, slices before Services, so that
/// an address that moves to another Service is free when that one comes.
pub(super) fn events(before: &Objects, after: &Objects) -> Vec<Event> {
    let gone = before.keys().rev().filter(|id| !after.contains_key(id)).map(ObjectId::deleted);
    let unchanged = |id, object: &Arc<Object>| {
        before.get(id).is_some_and(|other| Arc::ptr_eq(other, object) || other == object)
    };
    let changed = after.iter().filter(|(id, object)| !unchanged(id, object));
    gone.chain(changed.map(|(_, object)| object.applied())).collect()
}
