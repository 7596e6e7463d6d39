//! A writer that keeps a copy of all maps after every single write.

use proxy_common::abi::{BackendEntry, BackendRef, FrontendValue, NodeEntry, ServiceEntry};
use shunt::writer::{
    Capacities, FrontendKey, MapReader, MemoryMaps, Name, PrefixKey, Store, WriteError, Writer,
};
use std::{cell::RefCell, rc::Rc};

/// Every state that a reader on another CPU could have met, oldest first.
pub type History = Rc<RefCell<Vec<MemoryMaps>>>;

pub struct Recorder {
    maps: MemoryMaps,
    history: History,
}

impl Recorder {
    pub fn new(capacities: &Capacities) -> Self {
        Self { maps: MemoryMaps::new(capacities), history: History::default() }
    }

    pub fn history(&self) -> History {
        Rc::clone(&self.history)
    }

    fn record(&self) {
        self.history.borrow_mut().push(self.maps.clone());
    }
}

impl Writer for Recorder {
    fn store(&mut self, store: &Store) {
        self.maps.store(store);
        self.record();
    }

    fn put_frontends(&mut self, entries: &[(FrontendKey, FrontendValue)]) -> Result<(), WriteError> {
        for entry in entries {
            self.maps.put_frontends(&[*entry])?;
            self.record();
        }
        Ok(())
    }

    fn delete_frontends(&mut self, keys: &[FrontendKey]) -> Result<(), WriteError> {
        for key in keys {
            self.maps.delete_frontends(&[*key])?;
            self.record();
        }
        Ok(())
    }

    fn put_prefixes(&mut self, entries: &[(PrefixKey, u32)]) -> Result<(), WriteError> {
        for entry in entries {
            self.maps.put_prefixes(&[*entry])?;
            self.record();
        }
        Ok(())
    }

    fn delete_prefixes(&mut self, keys: &[PrefixKey]) -> Result<(), WriteError> {
        for key in keys {
            self.maps.delete_prefixes(&[*key])?;
            self.record();
        }
        Ok(())
    }

    /// No reader lives across a grace period: what came before it is history.
    fn grace_period(&mut self) -> Result<(), WriteError> {
        self.history.borrow_mut().clear();
        self.record();
        self.maps.grace_period()
    }
}

impl MapReader for Recorder {
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
