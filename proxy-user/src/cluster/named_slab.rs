//! Objects at places that do not change while they live, found by name. A name stands once, in its
//! object: the index of names is small enough to stay in the cache in a large cluster.

use crate::model::ObjectName;
use ahash::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use std::ops::{Index, IndexMut};

/// An object with a name, which does not change.
pub(super) trait Named {
    fn name(&self) -> &ObjectName;
}

/// Objects of one kind.
#[derive(Debug)]
pub(super) struct NamedSlab<T> {
    objects: Slab<T>,
    places: HashTable<u32>,
    hasher: RandomState,
}

impl<T: Named> NamedSlab<T> {
    /// None.
    pub fn new() -> Self {
        Self { objects: Slab::new(), places: HashTable::new(), hasher: RandomState::new() }
    }

    /// The place of an object.
    pub fn find(&self, name: &ObjectName) -> Option<u32> {
        let is_it = |place: &u32| self.objects[*place as usize].name() == name;
        self.places.find(self.hasher.hash_one(name), is_it).copied()
    }

    /// Adds an object whose name is not known yet; gives back its place.
    pub fn insert(&mut self, object: T) -> u32 {
        let hash = self.hasher.hash_one(object.name());
        let place = self.objects.insert(object) as u32;
        let (objects, hasher) = (&self.objects, &self.hasher);
        self.places.insert_unique(hash, place, |place| hasher.hash_one(objects[*place as usize].name()));
        place
    }

    /// Every object with its place.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.objects.iter().map(|(place, object)| (place as u32, object))
    }

    /// Removes the object at a place.
    ///
    /// # Panics
    /// Where there is none.
    pub fn remove(&mut self, place: u32) -> T {
        let object = self.objects.remove(place as usize);
        let hash = self.hasher.hash_one(object.name());
        if let Ok(entry) = self.places.find_entry(hash, |other| *other == place) {
            entry.remove();
        }
        object
    }

    /// The object at a place.
    pub fn get(&self, place: u32) -> Option<&T> {
        self.objects.get(place as usize)
    }

    /// The object at a place, to change anything but its name.
    pub fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.objects.get_mut(place as usize)
    }

    /// True without objects.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}

impl<T> Index<u32> for NamedSlab<T> {
    type Output = T;

    fn index(&self, place: u32) -> &T {
        &self.objects[place as usize]
    }
}

impl<T> IndexMut<u32> for NamedSlab<T> {
    fn index_mut(&mut self, place: u32) -> &mut T {
        &mut self.objects[place as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    impl Named for ObjectName {
        fn name(&self) -> &ObjectName {
            self
        }
    }

    #[test]
    fn names_lead_to_their_objects_through_growth_and_reuse() {
        let name = |number: u32| ObjectName::new("default", format!("object-{number}"));
        let mut slab = NamedSlab::new();
        let mut places: HashMap<u32, u32> = (0..1_000).map(|n| (n, slab.insert(name(n)))).collect();
        for number in (0..1_000).filter(|n| n % 3 == 0) {
            assert_eq!(slab.remove(places[&number]), name(number));
            places.remove(&number);
        }
        places.extend((1_000..1_100).map(|n| (n, slab.insert(name(n)))));
        for number in 0..1_100 {
            assert_eq!(slab.find(&name(number)), places.get(&number).copied());
        }
        places.values().for_each(|place| drop(slab.remove(*place)));
        assert!(slab.is_empty() && slab.places.is_empty());
    }
}
