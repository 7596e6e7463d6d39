//! Carrying out a plan, and reading the maps back.

use super::{Capacities, FrontendKey, PrefixKey, Store};
use proxy_common::abi::{BackendEntry, BackendRef, FrontendValue, NodeEntry, ServiceEntry};
use std::io;

/// Carries out a plan's operations, in their order.
pub trait Writer {
    /// Writes to a mapped array.
    fn store(&mut self, store: &Store);

    /// Adds or replaces frontends; an existing key gets its new value atomically.
    ///
    /// # Errors
    /// [`WriteError::done`] says how many leading entries were carried out.
    fn put_frontends(&mut self, entries: &[(FrontendKey, FrontendValue)]) -> Result<(), WriteError>;

    /// Removes frontends; a key that is absent counts as removed.
    ///
    /// # Errors
    /// [`WriteError::done`] says how many leading keys were carried out.
    fn delete_frontends(&mut self, keys: &[FrontendKey]) -> Result<(), WriteError>;

    /// Adds or replaces prefixes.
    ///
    /// # Errors
    /// [`WriteError::done`] says how many leading entries were carried out.
    fn put_prefixes(&mut self, entries: &[(PrefixKey, u32)]) -> Result<(), WriteError>;

    /// Removes prefixes; a key that is absent counts as removed.
    ///
    /// # Errors
    /// [`WriteError::done`] says how many leading keys were carried out.
    fn delete_prefixes(&mut self, keys: &[PrefixKey]) -> Result<(), WriteError>;

    /// Waits until every program that started before this call has ended.
    ///
    /// # Errors
    /// Where the wait could not be made; nothing may be reused then.
    fn grace_period(&mut self) -> Result<(), WriteError>;
}

/// A system call on a map failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} on map {map}: {source}")]
pub struct WriteError {
    /// Name of the map.
    pub map: &'static str,
    /// The bpf(2) command that failed.
    pub call: &'static str,
    /// How many leading entries of the request were carried out before.
    pub done: usize,
    /// What the kernel said.
    pub source: io::Error,
}

impl WriteError {
    /// True if the map is full: the entry fits once another has gone.
    #[must_use]
    pub fn is_full(&self) -> bool {
        // A hash map says the former, a trie the latter.
        [libc::E2BIG, libc::ENOSPC].map(Some).contains(&self.source.raw_os_error())
    }
}

/// A text read from NAMES.
pub type Name = String;

/// Reads the maps back, to adopt what a former agent programmed and to show what the kernel holds.
pub trait MapReader {
    /// Sizes of the maps.
    fn capacities(&self) -> Capacities;

    /// Every frontend of both families, in no particular order.
    ///
    /// # Errors
    /// Where a map cannot be read.
    fn frontends(&self) -> Result<Vec<(FrontendKey, FrontendValue)>, WriteError>;

    /// Every prefix of SOURCE_RANGES and of NETWORKS, in no particular order.
    ///
    /// # Errors
    /// Where a map cannot be read.
    fn prefixes(&self) -> Result<Vec<(PrefixKey, u32)>, WriteError>;

    /// The entry of NODE.
    fn node(&self) -> NodeEntry;

    /// An entry of SERVICES; `None` outside the map.
    fn service(&self, index: u32) -> Option<ServiceEntry>;

    /// An entry of SLOTS; `None` outside the map.
    fn slot(&self, index: u32) -> Option<BackendRef>;

    /// An entry of BACKENDS; `None` outside the map.
    fn backend(&self, index: u32) -> Option<BackendEntry>;

    /// The text that starts at a cell of NAMES (see [`Store::Name`]); `None` where there is none or
    /// it is not UTF-8.
    fn name(&self, cell: u32) -> Option<Name>;
}
