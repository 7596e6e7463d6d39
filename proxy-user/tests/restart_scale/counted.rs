//! Maps in memory, and a count of every write to them: one that writes what is there already counts too.

use proxy_common::abi::{BackendEntry, BackendRef, FrontendValue, NodeEntry, ServiceEntry};
use shunt::writer::{
    Capacities, FrontendKey, MapReader, MemoryMaps, Name, PrefixKey, Store, WriteError, Writer,
};
use std::{cell::Cell, rc::Rc};

/// How much was written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Writes {
    pub stores: usize,
    pub puts: usize,
    pub deletes: usize,
    pub prefixes: usize,
}

impl Writes {
    pub const NONE: Self = Self { stores: 0, puts: 0, deletes: 0, prefixes: 0 };

    pub const fn new(stores: usize, puts: usize, deletes: usize) -> Self {
        Self { stores, puts, deletes, prefixes: 0 }
    }

    pub fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::NONE, |sum, more| Self {
            stores: sum.stores + more.stores,
            puts: sum.puts + more.puts,
            deletes: sum.deletes + more.deletes,
            prefixes: sum.prefixes + more.prefixes,
        })
    }
}

/// The maps.
pub struct Counted {
    pub maps: MemoryMaps,
    count: Rc<Cell<Writes>>,
}

impl Counted {
    pub fn new(maps: MemoryMaps) -> Self {
        Self { maps, count: Rc::default() }
    }

    /// What was written since the last call.
    pub fn take(&self) -> Writes {
        self.count.take()
    }

    fn note(&self, change: impl FnOnce(&mut Writes)) {
        let mut count = self.count.get();
        change(&mut count);
        self.count.set(count);
    }
}

impl Writer for Counted {
    fn store(&mut self, store: &Store) {
        self.note(|count| count.stores += 1);
        self.maps.store(store);
    }

    fn put_frontends(&mut self, entries: &[(FrontendKey, FrontendValue)]) -> Result<(), WriteError> {
        self.note(|count| count.puts += entries.len());
        self.maps.put_frontends(entries)
    }

    fn delete_frontends(&mut self, keys: &[FrontendKey]) -> Result<(), WriteError> {
        self.note(|count| count.deletes += keys.len());
        self.maps.delete_frontends(keys)
    }

    fn put_prefixes(&mut self, entries: &[(PrefixKey, u32)]) -> Result<(), WriteError> {
        self.note(|count| count.prefixes += entries.len());
        self.maps.put_prefixes(entries)
    }

    fn delete_prefixes(&mut self, keys: &[PrefixKey]) -> Result<(), WriteError> {
        self.note(|count| count.prefixes += keys.len());
        self.maps.delete_prefixes(keys)
    }

    fn grace_period(&mut self) -> Result<(), WriteError> {
        self.maps.grace_period()
    }
}

impl MapReader for Counted {
    fn capacities(&self) -> Capacities {
        self.maps.capacities()
    }

    fn frontends(&self) -> Result<Vec<(FrontendKey, FrontendValue)>, WriteError> {
        self.maps.frontends()
    }

    fn prefixes(&self) -> Result<Vec<(PrefixKey, u32)>, WriteError> {
        self.maps.prefixes()
    }

    fn node(&self) -> NodeEntry {
        self.maps.node()
    }

    fn service(&self, index: u32) -> Option<ServiceEntry> {
        self.maps.service(index)
    }

    fn slot(&self, index: u32) -> Option<BackendRef> {
        MapReader::slot(&self.maps, index)
    }

    fn backend(&self, index: u32) -> Option<BackendEntry> {
        MapReader::backend(&self.maps, index)
    }

    fn name(&self, cell: u32) -> Option<Name> {
        self.maps.name(cell)
    }
}
