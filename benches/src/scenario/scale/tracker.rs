//! Slice updates under way: when each was sent, heard of by a watch, and programmed.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// An endpoint that replaces another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// Number of the service.
    pub service: u32,
    /// Name of its slice.
    pub slice: String,
    /// Address of the new endpoint, which no other has.
    pub address: Ipv4Addr,
}

/// An update with its moments.
#[derive(Clone, Debug)]
pub struct Tracked {
    /// What.
    pub update: Update,
    /// Its author sent it.
    pub sent: Instant,
    /// A watch of the bench heard of it.
    pub seen: Option<Instant>,
    /// The kernel has it.
    pub programmed: Option<Instant>,
}

/// Updates of one run. A slice changes once in it.
#[derive(Debug, Default)]
pub struct Tracker {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    updates: Vec<Tracked>,
    slices: HashMap<String, usize>,
    addresses: HashMap<Ipv4Addr, usize>,
    /// Those that are not programmed.
    open: Vec<usize>,
    closed: bool,
}

impl Tracker {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An update is sent now.
    pub fn sent(&self, update: Update) {
        let mut state = self.lock();
        let number = state.updates.len();
        state.slices.insert(update.slice.clone(), number);
        state.addresses.insert(update.address, number);
        state.open.push(number);
        state.updates.push(Tracked { update, sent: Instant::now(), seen: None, programmed: None });
        self.changed.notify_all();
    }

    /// A watch heard of a slice.
    pub fn seen(&self, slice: &str, at: Instant) {
        let mut state = self.lock();
        if let Some(number) = state.slices.get(slice).copied() {
            state.updates[number].seen.get_or_insert(at);
            self.changed.notify_all();
        }
    }

    /// The kernel has an endpoint.
    pub fn programmed(&self, address: Ipv4Addr, at: Instant) {
        let mut state = self.lock();
        if let Some(number) = state.addresses.get(&address).copied() {
            state.updates[number].programmed.get_or_insert(at);
            state.open.retain(|open| *open != number);
            self.changed.notify_all();
        }
    }

    /// What was sent and is not programmed; waits for something, at most so long.
    pub fn outstanding(&self, limit: Duration) -> Vec<Update> {
        let is_idle = |state: &mut State| state.open.is_empty() && !state.closed;
        let waited = self.changed.wait_timeout_while(self.lock(), limit, is_idle);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.open.iter().map(|number| state.updates[*number].update.clone()).collect()
    }

    /// Whether everything sent so far is heard of and programmed; waits for it, at most so long.
    pub fn is_done(&self, limit: Duration) -> bool {
        let is_open =
            |state: &mut State| state.updates.iter().any(|u| u.seen.is_none() || u.programmed.is_none());
        let waited = self.changed.wait_timeout_while(self.lock(), limit, is_open);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Nothing more is sent: threads that look for changes end.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// See [`Self::close`].
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// All updates.
    pub fn take(&self) -> Vec<Tracked> {
        std::mem::take(&mut self.lock().updates)
    }
}
