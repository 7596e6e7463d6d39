//! Changes of a list that is not complete yet. Where it never is, nothing of it has happened.

use super::{known::Known, news::News};
use crate::model::{Event, ObjectName};
use ahash::AHashMap;
use std::time::SystemTime;

/// Changes by name: the last one counts.
#[derive(Default, Debug)]
pub(super) struct Staged {
    changes: AHashMap<ObjectName, Change>,
    /// How many of them are about objects that were not known.
    new: usize,
}

#[derive(Debug)]
struct Change {
    hash: u64,
    event: Event,
    trigger: Option<SystemTime>,
}

impl Staged {
    /// An object as the list has it. True where that is news.
    pub(super) fn apply(
        &mut self,
        known: &mut Known,
        name: ObjectName,
        event: Event,
        trigger: Option<SystemTime>,
    ) -> bool {
        let new = !known.contains(&name);
        let Some(hash) = known.compare(&name, &event) else {
            // As it was before the list.
            self.changes.remove(&name);
            return false;
        };
        let former = self.changes.insert(name, Change { hash, event, trigger });
        self.new += usize::from(new && former.is_none());
        true
    }

    /// The list takes an object back.
    pub(super) fn remove(&mut self, known: &mut Known, name: &ObjectName) {
        let staged = self.changes.remove(name).is_some();
        self.new -= usize::from(staged && !known.contains(name));
        known.forget(name);
    }

    /// Objects that the list adds.
    pub(super) const fn new_objects(&self) -> usize {
        self.new
    }

    /// The list is complete: its changes are handed on.
    pub(super) fn commit(self, known: &mut Known, news: &mut News) {
        let mut changes: Vec<_> = self.changes.into_iter().collect();
        changes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (name, Change { hash, event, trigger }) in changes {
            known.commit(&name, hash);
            news.changed(event, trigger);
        }
    }
}
