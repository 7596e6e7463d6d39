//! The maps in memory: carries out plans like the kernel, and serves the datapath's own code, so
//! that a test without root can ask which endpoint a client would reach.

use super::{Capacities, FrontendKey, MapReader, NODE_CELLS, Name, Store, WriteError, Writer};
use ahash::AHashMap;
use proxy_common::{
    abi::{
        BackendEntry, BackendRef, Counter, EndpointSet, FrontendKey4, FrontendKey6, FrontendValue,
        ServiceEntry, ServiceFlags, SocketKey, SocketPeer,
    },
    datapath::{Full, Tables},
};
use std::{
    cell::{Cell, RefCell},
    io,
};

/// All maps of a node. Indices outside of a map are ignored, as a store outside of a mapping never
/// happens.
#[derive(Clone, Debug)]
pub struct MemoryMaps {
    capacities: Capacities,
    frontends: AHashMap<FrontendKey, FrontendValue>,
    services: Vec<ServiceEntry>,
    slots: Vec<BackendRef>,
    backends: Vec<BackendEntry>,
    names: Vec<[u8; 8]>,
    udp_flows: RefCell<AHashMap<SocketKey, BackendRef>>,
    reverse: RefCell<AHashMap<SocketKey, SocketPeer>>,
    counters: RefCell<[u64; Counter::COUNT]>,
    random: Cell<u32>,
    grace_periods: u64,
}

impl MemoryMaps {
    /// Empty maps of these sizes.
    #[must_use]
    pub fn new(capacities: &Capacities) -> Self {
        Self {
            capacities: *capacities,
            frontends: AHashMap::new(),
            services: vec![ServiceEntry::default(); capacities.services as usize],
            slots: vec![BackendRef::default(); capacities.slots as usize],
            backends: vec![BackendEntry::default(); capacities.backends as usize],
            names: vec![[0; 8]; capacities.name_cells as usize],
            udp_flows: RefCell::default(),
            reverse: RefCell::default(),
            counters: RefCell::new([0; Counter::COUNT]),
            random: Cell::new(0),
            grace_periods: 0,
        }
    }

    /// What [`Tables::random`] gives next; it counts up from there by a large odd number, which
    /// spreads over all picks.
    pub fn set_random(&self, next: u32) {
        self.random.set(next);
    }

    /// Value of a counter.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters.borrow()[counter as usize]
    }

    /// Number of grace periods that were asked for.
    #[must_use]
    pub const fn grace_periods(&self) -> u64 {
        self.grace_periods
    }

    /// True if no map holds anything but the generations of backends and this node's name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frontends.is_empty()
            && self.services.iter().all(|s| *s == ServiceEntry::default())
            && self.slots.iter().all(|s| *s == BackendRef::default())
            && self.names.iter().skip(NODE_CELLS as usize).all(|cell| *cell == [0; 8])
            && self
                .backends
                .iter()
                .all(|b| *b == BackendEntry { generation: b.generation, ..Default::default() })
    }

    fn update_service(&mut self, index: u32, change: impl FnOnce(&mut ServiceEntry)) {
        if let Some(entry) = self.services.get_mut(index as usize) {
            change(entry);
        }
    }

    fn room_for(&self, key: &FrontendKey) -> bool {
        let same = |k: &&FrontendKey| matches!(k, FrontendKey::V4(_)) == matches!(key, FrontendKey::V4(_));
        self.frontends.contains_key(key)
            || self.frontends.keys().filter(same).count() < self.capacities.frontends as usize
    }
}

impl Writer for MemoryMaps {
    fn store(&mut self, store: &Store) {
        match store {
            Store::Backend { index, entry } => set(&mut self.backends, *index, *entry),
            Store::Retire { index, generation } => {
                if let Some(entry) = self.backends.get_mut(*index as usize) {
                    entry.generation = *generation;
                }
            }
            Store::Slot { index, backend } => set(&mut self.slots, *index, *backend),
            Store::ClusterSet { service, set } => self.update_service(*service, |entry| entry.cluster = *set),
            Store::LocalSet { service, set } => self.update_service(*service, |entry| entry.local = *set),
            Store::Policy { service, affinity_seconds, flags, name } => {
                self.update_service(*service, |entry| {
                    (entry.affinity_seconds, entry.flags, entry.name) = (*affinity_seconds, *flags, *name);
                });
            }
            Store::Service { service, entry } => set(&mut self.services, *service, *entry),
            Store::Name { cell, text } => {
                let mut bytes = (text.len() as u16).to_ne_bytes().to_vec();
                bytes.extend_from_slice(text.as_bytes());
                for (index, chunk) in (*cell..).zip(bytes.chunks(8)) {
                    let mut content = [0; 8];
                    content[..chunk.len()].copy_from_slice(chunk);
                    set(&mut self.names, index, content);
                }
            }
            Store::ClearSlots { base, count } => {
                (*base..base + count).for_each(|index| set(&mut self.slots, index, BackendRef::default()));
            }
            Store::ClearName { cell, count } => {
                (*cell..cell + count).for_each(|index| set(&mut self.names, index, [0; 8]));
            }
        }
    }

    fn put_frontends(&mut self, entries: &[(FrontendKey, FrontendValue)]) -> Result<(), WriteError> {
        for (done, (key, value)) in entries.iter().enumerate() {
            if !self.room_for(key) {
                let source = io::Error::from_raw_os_error(libc::E2BIG);
                return Err(WriteError { map: "FRONTENDS", call: "BPF_MAP_UPDATE_ELEM", done, source });
            }
            self.frontends.insert(*key, *value);
        }
        Ok(())
    }

    fn delete_frontends(&mut self, keys: &[FrontendKey]) -> Result<(), WriteError> {
        for key in keys {
            self.frontends.remove(key);
        }
        Ok(())
    }

    fn grace_period(&mut self) -> Result<(), WriteError> {
        self.grace_periods += 1;
        Ok(())
    }
}

fn set<T>(array: &mut [T], index: u32, value: T) {
    if let Some(entry) = array.get_mut(index as usize) {
        *entry = value;
    }
}

impl MapReader for MemoryMaps {
    fn capacities(&self) -> Capacities {
        self.capacities
    }

    fn frontends(&self) -> Result<Vec<(FrontendKey, FrontendValue)>, WriteError> {
        Ok(self.frontends.iter().map(|(key, value)| (*key, *value)).collect())
    }

    fn service(&self, index: u32) -> Option<ServiceEntry> {
        self.services.get(index as usize).copied()
    }

    fn slot(&self, index: u32) -> Option<BackendRef> {
        self.slots.get(index as usize).copied()
    }

    fn backend(&self, index: u32) -> Option<BackendEntry> {
        self.backends.get(index as usize).copied()
    }

    fn name(&self, cell: u32) -> Option<Name> {
        let cells = self.names.get(cell as usize..)?;
        let mut bytes = cells.iter().flatten().copied();
        let length = u16::from_ne_bytes([bytes.next()?, bytes.next()?]);
        let text: Vec<u8> = bytes.take(usize::from(length)).collect();
        String::from_utf8(text).ok().filter(|text| !text.is_empty() && text.len() == usize::from(length))
    }
}

impl Tables for MemoryMaps {
    fn frontend4(&self, key: &FrontendKey4) -> Option<FrontendValue> {
        self.frontends.get(&FrontendKey::V4(*key)).copied()
    }

    fn frontend6(&self, key: &FrontendKey6) -> Option<FrontendValue> {
        self.frontends.get(&FrontendKey::V6(*key)).copied()
    }

    fn service_flags(&self, service: u32) -> Option<ServiceFlags> {
        self.service(service).map(|entry| entry.flags)
    }

    fn cluster_set(&self, service: u32) -> Option<EndpointSet> {
        self.service(service).map(|entry| entry.cluster)
    }

    fn local_set(&self, service: u32) -> Option<EndpointSet> {
        self.service(service).map(|entry| entry.local)
    }

    fn slot(&self, index: u32) -> Option<BackendRef> {
        MapReader::slot(self, index)
    }

    fn backend(&self, index: u32) -> Option<BackendEntry> {
        MapReader::backend(self, index)
    }

    fn udp_flow(&self, key: &SocketKey) -> Option<BackendRef> {
        self.udp_flows.borrow().get(key).copied()
    }

    fn remember_udp_flow(&self, key: &SocketKey, backend: BackendRef) -> Result<(), Full> {
        self.udp_flows.borrow_mut().insert(*key, backend);
        Ok(())
    }

    fn reverse(&self, key: &SocketKey) -> Option<SocketPeer> {
        self.reverse.borrow().get(key).copied()
    }

    fn remember_reverse(&self, key: &SocketKey, frontend: &SocketPeer) -> Result<(), Full> {
        self.reverse.borrow_mut().insert(*key, *frontend);
        Ok(())
    }

    fn forget_reverse(&self, key: &SocketKey) {
        self.reverse.borrow_mut().remove(key);
    }

    fn random(&self) -> u32 {
        let random = self.random.get();
        self.random.set(random.wrapping_add(0x9e37_79b1));
        random
    }

    fn count(&self, counter: Counter) {
        self.counters.borrow_mut()[counter as usize] += 1;
    }
}
