//! The maps in memory: carries out plans like the kernel, and serves the datapath's own code, so
//! that a test without root can ask which endpoint a client would reach.

mod tables;

use super::{Capacities, FrontendKey, MapReader, NODE_CELLS, Name, PrefixKey, Store, WriteError, Writer};
use ahash::AHashMap;
use proxy_common::abi::{
    AffinityEntry, AffinityKey, BackendEntry, BackendRef, Counter, FrontendValue, NodeEntry, ReverseEntry,
    ServiceEntry, SocketKey,
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
    prefixes: AHashMap<PrefixKey, u32>,
    /// Entries of FRONTENDS4, FRONTENDS6, SOURCE_RANGES and NETWORKS: counting them at each put would cost a
    /// plan of a large cluster the square of its size.
    occupied: [u32; 4],
    node: NodeEntry,
    udp_flows: RefCell<AHashMap<SocketKey, BackendRef>>,
    reverse: RefCell<AHashMap<SocketKey, ReverseEntry>>,
    affinities: RefCell<AHashMap<AffinityKey, AffinityEntry>>,
    counters: RefCell<[u64; Counter::COUNT]>,
    random: Cell<u32>,
    now: Cell<u64>,
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
            prefixes: AHashMap::new(),
            occupied: [0; 4],
            node: NodeEntry::default(),
            udp_flows: RefCell::default(),
            reverse: RefCell::default(),
            affinities: RefCell::default(),
            counters: RefCell::new([0; Counter::COUNT]),
            random: Cell::new(0),
            now: Cell::new(0),
            grace_periods: 0,
        }
    }

    /// Room for more: what is in the maps stays where it is. No map shrinks.
    pub fn grow(&mut self, capacities: &Capacities) {
        let capacities = self.capacities.max(capacities);
        let Capacities { services, slots, backends, name_cells, .. } = capacities;
        self.services.resize(services as usize, ServiceEntry::default());
        self.slots.resize(slots as usize, BackendRef::default());
        self.backends.resize(backends as usize, BackendEntry::default());
        self.names.resize(name_cells as usize, [0; 8]);
        self.capacities = capacities;
    }

    /// A copy of what other maps hold now, but for what sockets and clients are remembered by: those maps
    /// may go on changing.
    ///
    /// # Errors
    /// Where the other maps cannot be read.
    pub fn copy_of(maps: &impl MapReader) -> Result<Self, WriteError> {
        let mut copy = Self::new(&maps.capacities());
        copy.frontends = maps.frontends()?.into_iter().collect();
        copy.prefixes = maps.prefixes()?.into_iter().collect();
        copy.frontends.keys().for_each(|key| copy.occupied[map_of(key)] += 1);
        copy.prefixes.keys().for_each(|key| copy.occupied[prefix_map_of(key)] += 1);
        copy.node = maps.node();
        fill(&mut copy.services, |index| maps.service(index));
        fill(&mut copy.slots, |index| maps.slot(index));
        fill(&mut copy.backends, |index| maps.backend(index));
        let names = copy.services.iter().filter_map(|service| service.name.checked_sub(1));
        let names: Vec<_> = names.chain([0]).filter_map(|cell| Some((cell, maps.name(cell)?))).collect();
        for (cell, text) in names {
            copy.store(&Store::Name { cell, text: text.into() });
        }
        Ok(copy)
    }

    /// What [`Tables::random`] gives next; it counts up from there by a large odd number, which
    /// spreads over all picks.
    pub fn set_random(&self, next: u32) {
        self.random.set(next);
    }

    /// What [`Tables::now`] says from now on, nanoseconds.
    pub fn set_now(&self, now: u64) {
        self.now.set(now);
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

    /// True if no map holds anything but the generations of backends, and this node's name and facts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frontends.is_empty()
            && self.prefixes.is_empty()
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

    const fn has_room(&self, map: usize, capacity: u32) -> bool {
        self.occupied[map] < capacity
    }
}

/// The place of a frontend's map in `occupied`.
const fn map_of(key: &FrontendKey) -> usize {
    match key {
        FrontendKey::V4(_) => 0,
        FrontendKey::V6(_) => 1,
    }
}

/// The place of a prefix's map in `occupied`.
const fn prefix_map_of(key: &PrefixKey) -> usize {
    match key {
        PrefixKey::Source(_) => 2,
        PrefixKey::Network(_) => 3,
    }
}

impl Writer for MemoryMaps {
    fn store(&mut self, store: &Store) {
        match store {
            Store::Backend { index, entry } => set(&mut self.backends, *index, *entry),
            Store::BackendState { index, flags, generation } => {
                if let Some(entry) = self.backends.get_mut(*index as usize) {
                    (entry.flags, entry.generation) = (*flags, *generation);
                }
            }
            Store::Node { entry } => self.node = *entry,
            Store::Slot { index, backend } => set(&mut self.slots, *index, *backend),
            Store::ClusterSet { service, set } => self.update_service(*service, |entry| entry.cluster = *set),
            Store::LocalSet { service, set } => self.update_service(*service, |entry| entry.local = *set),
            Store::Policy { service, affinity_seconds, flags, name, health_check_node_port } => {
                self.update_service(*service, |entry| {
                    (entry.affinity_seconds, entry.flags, entry.name) = (*affinity_seconds, *flags, *name);
                    entry.health_check_node_port = *health_check_node_port;
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
            let map = map_of(key);
            let is_new = !self.frontends.contains_key(key);
            if is_new && !self.has_room(map, self.capacities.frontends) {
                let source = io::Error::from_raw_os_error(libc::E2BIG);
                return Err(WriteError { map: "FRONTENDS", call: "BPF_MAP_UPDATE_ELEM", done, source });
            }
            self.occupied[map] += u32::from(is_new);
            self.frontends.insert(*key, *value);
        }
        Ok(())
    }

    fn delete_frontends(&mut self, keys: &[FrontendKey]) -> Result<(), WriteError> {
        for key in keys {
            self.occupied[map_of(key)] -= u32::from(self.frontends.remove(key).is_some());
        }
        Ok(())
    }

    fn put_prefixes(&mut self, entries: &[(PrefixKey, u32)]) -> Result<(), WriteError> {
        for (done, (key, value)) in entries.iter().enumerate() {
            let map = prefix_map_of(key);
            let is_new = !self.prefixes.contains_key(key);
            if is_new && !self.has_room(map, self.capacities.prefixes) {
                let source = io::Error::from_raw_os_error(libc::ENOSPC);
                return Err(WriteError { map: "of prefixes", call: "BPF_MAP_UPDATE_ELEM", done, source });
            }
            self.occupied[map] += u32::from(is_new);
            self.prefixes.insert(*key, *value);
        }
        Ok(())
    }

    fn delete_prefixes(&mut self, keys: &[PrefixKey]) -> Result<(), WriteError> {
        for key in keys {
            self.occupied[prefix_map_of(key)] -= u32::from(self.prefixes.remove(key).is_some());
        }
        Ok(())
    }

    fn grace_period(&mut self) -> Result<(), WriteError> {
        self.grace_periods += 1;
        Ok(())
    }
}

fn fill<T>(array: &mut [T], read: impl Fn(u32) -> Option<T>) {
    for (entry, value) in array.iter_mut().zip((0..).map_while(read)) {
        *entry = value;
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

    fn prefixes(&self) -> Result<Vec<(PrefixKey, u32)>, WriteError> {
        Ok(self.prefixes.iter().map(|(key, value)| (*key, *value)).collect())
    }

    fn node(&self) -> NodeEntry {
        self.node
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
