//! Carries out plans: stores to the mapped arrays, and as few system calls as possible for the
//! frontends.

use super::error::KernelError;
use super::grace::Grace;
use super::lock::PinLock;
use super::object;
use super::pinned::PinnedMaps;
use super::sys::MapFd;
use crate::writer::{Capacities, FrontendKey, MapReader, Name, PrefixKey, Store, WriteError, Writer};
use proxy_common::abi::{AgentEntry, BackendEntry, BackendRef, FrontendValue, NodeEntry, ServiceEntry};
use std::io::{self, ErrorKind};
use std::mem::offset_of;
use std::ops::Deref;
use std::sync::Arc;
use zerocopy::IntoBytes;

/// Frontends per batch call: enough to make the call's own cost vanish, and a bounded time in the
/// kernel.
const BATCH: usize = 4096;

/// Bytes of one store.
const WORD: usize = size_of::<u64>();

/// Words of a [`ServiceEntry`] that hold a set each, and the first of those that hold its policy.
const CLUSTER: usize = offset_of!(ServiceEntry, cluster) / WORD;
const LOCAL: usize = offset_of!(ServiceEntry, local) / WORD;
const POLICY: usize = offset_of!(ServiceEntry, affinity_seconds) / WORD;

/// Word of a [`BackendEntry`] that holds its flags and generation, beside the port.
const STATE: usize = offset_of!(BackendEntry, generation) / WORD;

/// The pinned maps with the right to write to them; there is one such value per pin path.
#[derive(Debug)]
pub struct KernelMaps {
    pinned: PinnedMaps,
    grace: Grace,
    // Last, so that all else is closed when another process may take over.
    _lock: Arc<PinLock>,
}

impl KernelMaps {
    pub(super) fn new(pinned: PinnedMaps, lock: Arc<PinLock>) -> Result<Self, KernelError> {
        let grace = Grace::new().map_err(|source| KernelError::Call {
            object: "the grace period's map of maps",
            call: "BPF_MAP_CREATE",
            source,
        })?;
        Ok(Self { pinned, grace, _lock: lock })
    }

    /// Says of the agent what others are to know, by plain stores.
    pub fn set_agent(&mut self, entry: &AgentEntry) {
        let stored = self.pinned.agent.put(0, entry);
        debug_assert!(stored, "AGENT has one entry");
    }

    /// Goes on with other maps.
    pub(super) fn replace(&mut self, pinned: PinnedMaps) {
        self.pinned = pinned;
    }

    fn carry_out(&mut self, store: &Store) -> bool {
        let maps = &mut self.pinned;
        match *store {
            Store::Backend { index, ref entry } => maps.backends.put(index, entry),
            Store::BackendState { index, flags, generation } => {
                maps.backends.get(index).is_some_and(|entry| {
                    let entry = BackendEntry { flags, generation, ..entry };
                    maps.backends.put_words(index, STATE, word(entry.as_bytes(), STATE))
                })
            }
            Store::Node { ref entry } => maps.node.put(0, entry),
            Store::Slot { index, backend } => maps.slots.put(index, &backend),
            Store::ClusterSet { service, set } => maps.services.put_words(service, CLUSTER, set.as_bytes()),
            Store::LocalSet { service, set } => maps.services.put_words(service, LOCAL, set.as_bytes()),
            Store::Policy { service, affinity_seconds, flags, name, health_check_node_port } => {
                let entry = ServiceEntry {
                    affinity_seconds,
                    flags,
                    name,
                    health_check_node_port,
                    ..ServiceEntry::default()
                };
                let policy = entry.as_bytes().get(POLICY * WORD..).unwrap_or_default();
                maps.services.put_words(service, POLICY, policy)
            }
            Store::Service { service, ref entry } => maps.services.put(service, entry),
            Store::Name { cell, ref text } => self.put_name(cell, text),
            Store::ClearSlots { base, count } => {
                range(base, count).all(|index| maps.slots.put(index, &BackendRef::default()))
            }
            Store::ClearName { cell, count } => range(cell, count).all(|cell| maps.names.put(cell, &0)),
        }
    }

    fn put_name(&mut self, cell: u32, text: &str) -> bool {
        let Ok(len) = u16::try_from(text.len()) else { return false };
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(WORD), 0);
        let (cells, _) = bytes.as_chunks();
        (cell..).zip(cells).all(|(cell, bytes)| self.pinned.names.put(cell, &u64::from_ne_bytes(*bytes)))
    }

    /// The map of a prefix, and its key there.
    fn prefix<'a>(&self, key: &'a PrefixKey) -> (&'static str, &MapFd, &'a [u8]) {
        match key {
            PrefixKey::Source(key) => (object::SOURCE_RANGES, &self.pinned.source_ranges, key.as_bytes()),
            PrefixKey::Network(key) => (object::NETWORKS, &self.pinned.networks, key.as_bytes()),
        }
    }

    /// Carries out one call per [`BATCH`] entries of a run of one family; `carry_out` gets the map
    /// and a chunk, and returns how much of it is done when it fails.
    fn in_batches<T>(
        &self,
        requests: &[T],
        key: impl Fn(&T) -> &FrontendKey,
        carry_out: impl Fn(&MapFd, &[T]) -> Result<(), (usize, &'static str, io::Error)>,
    ) -> Result<(), WriteError> {
        let is_v4 = |request: &T| matches!(key(request), FrontendKey::V4(_));
        let mut before = 0;
        for run in requests.chunk_by(|a, b| is_v4(a) == is_v4(b)) {
            let (name, map) = if run.first().is_some_and(is_v4) {
                (object::FRONTENDS4, &self.pinned.frontends4)
            } else {
                (object::FRONTENDS6, &self.pinned.frontends6)
            };
            for chunk in run.chunks(BATCH) {
                carry_out(map, chunk).map_err(|(done, call, source)| WriteError {
                    map: name,
                    call,
                    done: before + done,
                    source,
                })?;
                before += chunk.len();
            }
        }
        Ok(())
    }
}

impl Writer for KernelMaps {
    /// A store outside of the maps is a bug in the plan: it is reported and leaves the maps alone.
    fn store(&mut self, store: &Store) {
        let stored = self.carry_out(store);
        if !stored {
            tracing::error!(?store, "a store outside of the maps was left out: this is a bug in Shunt");
        }
        debug_assert!(stored, "outside of the maps: {store:?}");
    }

    fn put_frontends(&mut self, entries: &[(FrontendKey, FrontendValue)]) -> Result<(), WriteError> {
        self.in_batches(
            entries,
            |(key, _)| key,
            |map, chunk| {
                if let [(key, value)] = chunk {
                    return map
                        .update(key_bytes(key), value.as_bytes())
                        .map_err(|source| (0, "BPF_MAP_UPDATE_ELEM", source));
                }
                let keys: Vec<u8> = chunk.iter().flat_map(|(key, _)| key_bytes(key)).copied().collect();
                let values: Vec<u8> = chunk.iter().flat_map(|(_, value)| value.as_bytes()).copied().collect();
                map.update_batch(&keys, &values)
                    .map_err(|(done, source)| (done, "BPF_MAP_UPDATE_BATCH", source))
            },
        )
    }

    fn delete_frontends(&mut self, keys: &[FrontendKey]) -> Result<(), WriteError> {
        self.in_batches(
            keys,
            |key| key,
            |map, chunk| {
                let mut rest = chunk;
                while let Some((first, others)) = rest.split_first() {
                    let done = chunk.len() - rest.len();
                    if others.is_empty() {
                        return match map.delete(key_bytes(first)) {
                            Err(error) if error.kind() != ErrorKind::NotFound => {
                                Err((done, "BPF_MAP_DELETE_ELEM", error))
                            }
                            _ => Ok(()),
                        };
                    }
                    let keys: Vec<u8> = rest.iter().flat_map(key_bytes).copied().collect();
                    match map.delete_batch(&keys) {
                        Ok(()) => return Ok(()),
                        // The kernel stops at an absent key: go on behind it.
                        Err((removed, error)) if error.kind() == ErrorKind::NotFound => {
                            rest = rest.get(removed + 1..).unwrap_or_default();
                        }
                        Err((removed, error)) => {
                            return Err((done + removed, "BPF_MAP_DELETE_BATCH", error));
                        }
                    }
                }
                Ok(())
            },
        )
    }

    fn put_prefixes(&mut self, entries: &[(PrefixKey, u32)]) -> Result<(), WriteError> {
        for (done, (key, value)) in entries.iter().enumerate() {
            let (map, fd, key) = self.prefix(key);
            fd.update(key, value.as_bytes()).map_err(|source| WriteError {
                map,
                call: "BPF_MAP_UPDATE_ELEM",
                done,
                source,
            })?;
        }
        Ok(())
    }

    fn delete_prefixes(&mut self, keys: &[PrefixKey]) -> Result<(), WriteError> {
        for (done, key) in keys.iter().enumerate() {
            let (map, fd, key) = self.prefix(key);
            match fd.delete(key) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(WriteError { map, call: "BPF_MAP_DELETE_ELEM", done, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn grace_period(&mut self) -> Result<(), WriteError> {
        self.grace.wait().map_err(|source| WriteError {
            map: "of the grace period",
            call: "BPF_MAP_UPDATE_ELEM",
            done: 0,
            source,
        })
    }
}

/// Reading needs no right to write.
impl Deref for KernelMaps {
    type Target = PinnedMaps;

    fn deref(&self) -> &PinnedMaps {
        &self.pinned
    }
}

impl MapReader for KernelMaps {
    fn capacities(&self) -> Capacities {
        self.pinned.capacities()
    }

    fn frontends(&self) -> Result<Vec<(FrontendKey, FrontendValue)>, WriteError> {
        self.pinned.frontends()
    }

    fn prefixes(&self) -> Result<Vec<(PrefixKey, u32)>, WriteError> {
        self.pinned.prefixes()
    }

    fn node(&self) -> NodeEntry {
        self.pinned.node()
    }

    fn service(&self, index: u32) -> Option<ServiceEntry> {
        self.pinned.service(index)
    }

    fn slot(&self, index: u32) -> Option<BackendRef> {
        self.pinned.slot(index)
    }

    fn backend(&self, index: u32) -> Option<BackendEntry> {
        self.pinned.backend(index)
    }

    fn name(&self, cell: u32) -> Option<Name> {
        self.pinned.name(cell)
    }
}

fn key_bytes(key: &FrontendKey) -> &[u8] {
    match key {
        FrontendKey::V4(key) => key.as_bytes(),
        FrontendKey::V6(key) => key.as_bytes(),
    }
}

fn range(first: u32, count: u32) -> std::ops::Range<u32> {
    first..first.saturating_add(count)
}

/// One word of an entry.
fn word(entry: &[u8], word: usize) -> &[u8] {
    entry.get(word * WORD..(word + 1) * WORD).unwrap_or_default()
}
