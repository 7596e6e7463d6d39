//! A writer whose system calls fail at random: the engine must converge all the same.

use super::{Capacities, FrontendKey, MapReader, Name, PrefixKey, Store, WriteError, Writer};
use proxy_common::abi::{BackendEntry, BackendRef, FrontendValue, NodeEntry, ServiceEntry};
use std::io;

/// Wraps a writer; before each system call, `fate` decides how it ends.
#[derive(Debug)]
pub struct FaultyWriter<W, F> {
    /// The writer that carries out what does not fail.
    pub inner: W,
    /// `None`: the call succeeds. `Some(n)`: it fails with ENOMEM after at most `n` entries.
    pub fate: F,
}

impl<W: Writer, F: FnMut() -> Option<usize>> FaultyWriter<W, F> {
    fn attempt<T>(
        &mut self,
        call: &'static str,
        entries: &[T],
        carry_out: impl FnOnce(&mut W, &[T]) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let Some(done) = (self.fate)() else { return carry_out(&mut self.inner, entries) };
        let done = done.min(entries.len());
        carry_out(&mut self.inner, &entries[..done])?;
        Err(WriteError { map: "any", call, done, source: io::Error::from_raw_os_error(libc::ENOMEM) })
    }
}

impl<W: Writer, F: FnMut() -> Option<usize>> Writer for FaultyWriter<W, F> {
    fn store(&mut self, store: &Store) {
        self.inner.store(store);
    }

    fn put_frontends(&mut self, entries: &[(FrontendKey, FrontendValue)]) -> Result<(), WriteError> {
        self.attempt("BPF_MAP_UPDATE_BATCH", entries, W::put_frontends)
    }

    fn delete_frontends(&mut self, keys: &[FrontendKey]) -> Result<(), WriteError> {
        self.attempt("BPF_MAP_DELETE_BATCH", keys, W::delete_frontends)
    }

    fn put_prefixes(&mut self, entries: &[(PrefixKey, u32)]) -> Result<(), WriteError> {
        self.attempt("BPF_MAP_UPDATE_ELEM", entries, W::put_prefixes)
    }

    fn delete_prefixes(&mut self, keys: &[PrefixKey]) -> Result<(), WriteError> {
        self.attempt("BPF_MAP_DELETE_ELEM", keys, W::delete_prefixes)
    }

    fn grace_period(&mut self) -> Result<(), WriteError> {
        self.attempt::<()>("BPF_MAP_UPDATE_ELEM", &[], |inner, _| inner.grace_period())
    }
}

/// Reading never fails.
impl<W: MapReader, F> MapReader for FaultyWriter<W, F> {
    fn capacities(&self) -> Capacities {
        self.inner.capacities()
    }

    fn frontends(&self) -> Result<Vec<(FrontendKey, FrontendValue)>, WriteError> {
        self.inner.frontends()
    }

    fn prefixes(&self) -> Result<Vec<(PrefixKey, u32)>, WriteError> {
        self.inner.prefixes()
    }

    fn node(&self) -> NodeEntry {
        self.inner.node()
    }

    fn service(&self, index: u32) -> Option<ServiceEntry> {
        self.inner.service(index)
    }

    fn slot(&self, index: u32) -> Option<BackendRef> {
        self.inner.slot(index)
    }

    fn backend(&self, index: u32) -> Option<BackendEntry> {
        self.inner.backend(index)
    }

    fn name(&self, cell: u32) -> Option<Name> {
        self.inner.name(cell)
    }
}
