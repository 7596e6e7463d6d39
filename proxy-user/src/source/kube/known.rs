//! What has been handed on of one kind: a hash of each object, so that a second list is a difference and an
//! object that did not change costs nothing. Not the objects: the agent has them.

use crate::model::ObjectName;
use ahash::AHashMap;
use std::hash::Hash;

/// Objects by name.
#[derive(Default, Debug)]
pub(super) struct Known {
    objects: AHashMap<ObjectName, Entry>,
    hasher: ahash::RandomState,
    /// The list that is being read; objects that it names carry its number.
    round: u32,
    /// Objects that carry it.
    named: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    round: u32,
    /// A list that is not believed yet lacked it.
    doubted: bool,
}

impl Known {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// An object as it is now. True where that is news.
    pub(super) fn apply(&mut self, name: &ObjectName, object: &impl Hash) -> bool {
        let hash = self.hasher.hash_one(object);
        let news = self.objects.get(name).is_none_or(|entry| entry.hash != hash);
        self.commit(name, hash);
        news
    }

    /// A list names an object, and may not be complete in the end: what is known of it stays. Its hash where that is
    /// news.
    pub(super) fn compare(&mut self, name: &ObjectName, object: &impl Hash) -> Option<u64> {
        let hash = self.hasher.hash_one(object);
        self.keep(name);
        self.objects.get(name).is_none_or(|entry| entry.hash != hash).then_some(hash)
    }

    /// The object of a hash was handed on.
    pub(super) fn commit(&mut self, name: &ObjectName, hash: u64) {
        let entry = Entry { hash, round: self.round, doubted: false };
        // The name is copied only where it is new.
        let former = match self.objects.get_mut(name) {
            Some(known) => Some(std::mem::replace(known, entry)),
            None => self.objects.insert(name.clone(), entry),
        };
        self.named += usize::from(former.is_none_or(|former| former.round != self.round));
    }

    /// Whether an object was handed on.
    pub(super) fn contains(&self, name: &ObjectName) -> bool {
        self.objects.contains_key(name)
    }

    /// A list that named an object takes it back.
    pub(super) fn forget(&mut self, name: &ObjectName) {
        if let Some(entry) = self.objects.get_mut(name)
            && entry.round == self.round
        {
            entry.round = self.round.wrapping_sub(1);
            self.named -= 1;
        }
    }

    /// An object is there, but could not be read: what was handed on of it stays.
    pub(super) fn keep(&mut self, name: &ObjectName) {
        if let Some(entry) = self.objects.get_mut(name) {
            self.named += usize::from(entry.round != self.round);
            (entry.round, entry.doubted) = (self.round, false);
        }
    }

    /// An object is gone. True where it was known.
    pub(super) fn remove(&mut self, name: &ObjectName) -> bool {
        let removed = self.objects.remove(name);
        self.named -= usize::from(removed.is_some_and(|entry| entry.round == self.round));
        removed.is_some()
    }

    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
        self.named = 0;
    }

    /// Known objects that the list has not named.
    pub(super) fn unnamed(&self) -> usize {
        self.objects.len() - self.named
    }

    /// Objects that the list has named.
    pub(super) const fn named(&self) -> usize {
        self.named
    }

    /// The list is believed: what it has not named is gone.
    pub(super) fn remove_unnamed(&mut self) -> Vec<ObjectName> {
        let round = self.round;
        self.objects.extract_if(|_, entry| entry.round != round).map(|(name, _)| name).collect()
    }

    /// The list is not believed: what it has not named is doubted. Those that an earlier one had not named
    /// either stay doubted.
    pub(super) fn doubt_unnamed(&mut self) {
        for entry in self.objects.values_mut().filter(|entry| entry.round != self.round) {
            entry.doubted = true;
        }
    }

    /// Known objects that are doubted.
    pub(super) fn doubted(&self) -> usize {
        self.objects.values().filter(|entry| entry.doubted).count()
    }

    /// What was doubted is gone.
    pub(super) fn remove_doubted(&mut self) -> Vec<ObjectName> {
        let round = self.round;
        let gone: Vec<_> = self.objects.extract_if(|_, entry| entry.doubted).collect();
        self.named -= gone.iter().filter(|(_, entry)| entry.round == round).count();
        gone.into_iter().map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> ObjectName {
        ObjectName::new("shop", name)
    }

    #[test]
    fn a_second_list_is_a_difference() {
        let mut known = Known::default();
        known.begin();
        assert!(known.apply(&name("a"), &1) && known.apply(&name("b"), &2) && known.apply(&name("c"), &3));
        assert_eq!((known.len(), known.named(), known.unnamed()), (3, 3, 0));

        known.begin();
        assert!(!known.apply(&name("a"), &1));
        assert!(known.apply(&name("b"), &20));
        assert!(!known.apply(&name("b"), &20));
        assert!(known.apply(&name("d"), &4));
        assert_eq!((known.named(), known.unnamed()), (3, 1));
        assert_eq!(known.remove_unnamed(), [name("c")]);
        assert_eq!(known.unnamed(), 0);
    }

    #[test]
    fn a_list_that_is_not_complete_changes_nothing() {
        let mut known = Known::default();
        known.begin();
        known.apply(&name("a"), &1);
        for _ in 0..2 {
            known.begin();
            assert_eq!(known.compare(&name("a"), &1), None);
            assert!(known.compare(&name("a"), &2).is_some() && known.compare(&name("b"), &3).is_some());
            assert_eq!((known.len(), known.named(), known.unnamed()), (1, 1, 0));
            known.forget(&name("a"));
            known.forget(&name("b"));
            assert_eq!((known.named(), known.unnamed()), (0, 1));
        }
        let hash = known.compare(&name("a"), &2).unwrap();
        known.commit(&name("a"), hash);
        assert!(!known.apply(&name("a"), &2));
    }

    #[test]
    fn an_object_that_could_not_be_read_stays() {
        let mut known = Known::default();
        known.begin();
        known.apply(&name("a"), &1);
        known.begin();
        known.keep(&name("a"));
        known.keep(&name("unknown"));
        assert_eq!((known.named(), known.unnamed()), (1, 0));
        assert!(!known.apply(&name("a"), &1));
    }

    #[test]
    fn doubts_end_with_a_sight_or_a_removal() {
        let mut known = Known::default();
        known.begin();
        for (index, text) in ["a", "b", "c", "d"].into_iter().enumerate() {
            known.apply(&name(text), &index);
        }
        known.begin();
        known.apply(&name("d"), &3);
        known.doubt_unnamed();
        assert_eq!(known.doubted(), 3);
        assert!(!known.apply(&name("a"), &0));
        assert!(known.remove(&name("b")) && !known.remove(&name("b")));
        assert_eq!(known.doubted(), 1);
        assert_eq!(known.remove_doubted(), [name("c")]);
        assert_eq!((known.len(), known.named(), known.unnamed()), (2, 2, 0));
    }
}
