//! Ages FLOWS: takes out the entries of flows that have been silent for too long, slice by slice.
//!
//! Packets go on meanwhile, so an entry is looked at again right before it is deleted, by a batch of few. What is
//! left is a moment of microseconds in which a packet may come that is the first for the whole of a timeout. Its
//! entry is lost then. If the flow's other entry stayed, the next packet of that direction makes it again
//! (`note` in packet/flow.rs). If both are lost, the next packet of the client begins the flow anew: the same
//! endpoint and the same source port while the Service's endpoints are the same, since the flow's hash chooses
//! them; else another endpoint, which resets a TCP connection. The backend's packets find no flow until then.

use super::sys::MapFd;
use proxy_common::abi::{FlowEntry, Tuple};
use std::io;
use zerocopy::FromBytes;

/// Entries that one call of [`Collector::step`] looks at, about; a millisecond's work.
const SLICE: usize = 2048;

/// Entries that are looked at again and then deleted at a time.
const CHUNK: usize = 128;

/// What one step, or several, came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Collected {
    /// Entries that were looked at.
    pub looked: usize,
    /// Entries that were removed; a flow has two.
    pub removed: usize,
    /// The whole map has been gone through: the next step begins again.
    pub finished: bool,
}

/// Where the collector is in the map.
#[derive(Debug, Default)]
pub struct Collector {
    at: Position,
    /// Entries that were looked at since the beginning.
    looked: usize,
}

#[derive(Debug, Default)]
enum Position {
    #[default]
    Start,
    /// Cursor of BPF_MAP_LOOKUP_BATCH.
    Batch(u64),
    /// The last key, where the kernel refuses batches.
    Key(Vec<u8>),
}

/// The calls that the collector makes.
trait Flows {
    /// Most entries that it can hold.
    fn capacity(&self) -> usize;

    /// See [`MapFd::lookup_batch`].
    fn next_batch(
        &self,
        cursor: &mut u64,
        first: bool,
        keys: &mut [u8],
        values: &mut [u8],
    ) -> io::Result<(usize, bool)>;

    /// See [`MapFd::next_key`].
    fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>>;

    /// See [`MapFd::lookup`].
    fn lookup(&self, key: &[u8]) -> io::Result<Vec<u8>>;

    /// See [`MapFd::delete_batch`].
    fn delete_batch(&self, keys: &[u8]) -> Result<(), (usize, io::Error)>;

    /// See [`MapFd::delete`].
    fn delete(&self, key: &[u8]) -> io::Result<()>;
}

impl Collector {
    /// Looks at the next entries and removes those whose flow has been silent for longer than its protocol and
    /// state allow ([`FlowEntry::idle_timeout`]). `now` is CLOCK_MONOTONIC in seconds.
    ///
    /// # Errors
    /// Of the call that failed; the next step begins at the start of the map.
    pub(super) fn step(&mut self, flows: &MapFd, now: u32) -> io::Result<Collected> {
        let shape = flows.shape();
        if shape.key_size as usize != size_of::<Tuple>()
            || shape.value_size as usize != size_of::<FlowEntry>()
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.step_of(flows, now)
    }

    fn step_of(&mut self, flows: &impl Flows, now: u32) -> io::Result<Collected> {
        let mut expired = Vec::new();
        let mut looked = 0;
        let is_over = |key: &[u8], value: &[u8]| {
            let (key, entry) = (Tuple::read_from_bytes(key), FlowEntry::read_from_bytes(value));
            matches!((key, entry), (Ok(key), Ok(entry)) if is_over(&key, &entry, now))
        };
        let at = std::mem::take(&mut self.at);
        let next = read_slice(flows, at, |key, value| {
            looked += 1;
            if is_over(key, value) {
                expired.extend_from_slice(key);
            }
        })?;
        let mut removed = 0;
        for chunk in expired.chunks(CHUNK * size_of::<Tuple>()) {
            let mut still = Vec::with_capacity(chunk.len());
            for key in chunk.chunks_exact(size_of::<Tuple>()) {
                match flows.lookup(key) {
                    Ok(value) if is_over(key, &value) => still.extend_from_slice(key),
                    Ok(_) => {}
                    // It was evicted, or its flow began anew.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            removed += delete(flows, &still)?;
        }
        // A key that vanishes makes the kernel start again at the first one: the bound ends that.
        self.looked = self.looked.saturating_add(looked);
        let next = next.filter(|_| self.looked <= 2 * flows.capacity());
        let finished = next.is_none();
        if finished {
            self.looked = 0;
        }
        self.at = next.unwrap_or_default();
        Ok(Collected { looked, removed, finished })
    }
}

/// Whether nothing more is expected of a flow. The clock of a program that runs now may be ahead of ours.
fn is_over(key: &Tuple, entry: &FlowEntry, now: u32) -> bool {
    now.saturating_sub(entry.last_seen) > entry.idle_timeout(key.protocol)
}

/// Reads on from a position; `None` at the end.
fn read_slice(
    flows: &impl Flows,
    at: Position,
    mut each: impl FnMut(&[u8], &[u8]),
) -> io::Result<Option<Position>> {
    let (mut cursor, first) = match at {
        Position::Start => (0, true),
        Position::Batch(cursor) => (cursor, false),
        Position::Key(key) => return read_keys(flows, Some(key), each),
    };
    let mut room = SLICE.min(flows.capacity());
    loop {
        let (mut keys, mut values) =
            (vec![0; room * size_of::<Tuple>()], vec![0; room * size_of::<FlowEntry>()]);
        match flows.next_batch(&mut cursor, first, &mut keys, &mut values) {
            Ok((count, more)) => {
                let pairs =
                    keys.chunks_exact(size_of::<Tuple>()).zip(values.chunks_exact(size_of::<FlowEntry>()));
                pairs.take(count).for_each(|(key, value)| each(key, value));
                return Ok(more.then_some(Position::Batch(cursor)));
            }
            // One bucket holds more than there is room for; it was not read.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < flows.capacity() => {
                room = (room * 2).min(flows.capacity());
            }
            Err(error) if first && error.raw_os_error() == Some(libc::EINVAL) => {
                return read_keys(flows, None, each);
            }
            Err(error) => return Err(error),
        }
    }
}

fn read_keys(
    flows: &impl Flows,
    mut last: Option<Vec<u8>>,
    mut each: impl FnMut(&[u8], &[u8]),
) -> io::Result<Option<Position>> {
    for _ in 0..SLICE {
        let Some(key) = flows.next_key(last.as_deref())? else { return Ok(None) };
        match flows.lookup(&key) {
            Ok(value) => each(&key, &value),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        last = Some(key);
    }
    Ok(last.map(Position::Key))
}

/// Removes entries, of which some may be gone; returns how many it were.
fn delete(flows: &impl Flows, keys: &[u8]) -> io::Result<usize> {
    let (mut rest, mut removed) = (keys, 0);
    while !rest.is_empty() {
        let done = match flows.delete_batch(rest) {
            Ok(()) => return Ok(removed + rest.len() / size_of::<Tuple>()),
            // The kernel stops at an absent key: go on behind it.
            Err((done, error)) if error.kind() == io::ErrorKind::NotFound => {
                removed += done;
                done + 1
            }
            Err((0, error)) if error.raw_os_error() == Some(libc::EINVAL) => {
                for key in rest.chunks_exact(size_of::<Tuple>()) {
                    match flows.delete(key) {
                        Ok(()) => removed += 1,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    }
                }
                return Ok(removed);
            }
            Err((_, error)) => return Err(error),
        };
        rest = rest.get(done * size_of::<Tuple>()..).unwrap_or_default();
    }
    Ok(removed)
}

impl Flows for MapFd {
    fn capacity(&self) -> usize {
        self.shape().max_entries as usize
    }

    fn next_batch(
        &self,
        cursor: &mut u64,
        first: bool,
        keys: &mut [u8],
        values: &mut [u8],
    ) -> io::Result<(usize, bool)> {
        self.lookup_batch(cursor, first, keys, values)
    }

    fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        Self::next_key(self, key)
    }

    fn lookup(&self, key: &[u8]) -> io::Result<Vec<u8>> {
        Self::lookup(self, key)
    }

    fn delete_batch(&self, keys: &[u8]) -> Result<(), (usize, io::Error)> {
        Self::delete_batch(self, keys)
    }

    fn delete(&self, key: &[u8]) -> io::Result<()> {
        Self::delete(self, key)
    }
}

#[cfg(test)]
#[path = "collector_tests.rs"]
mod tests;
