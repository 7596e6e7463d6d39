//! Watching decisions live: the lease that has the programs show them, and the ring buffer that they come by.
//! Needs no agent, only what one has pinned.

use super::bpffs::PinDirs;
use super::error::KernelError;
use super::lock::PinLock;
use super::object;
use super::pinned::{PinnedMaps, array, open_pin};
use super::sys::Access;
use super::wire::MappedArray;
use crate::writer::WriteError;
use aya::maps::{Map, MapData, MapError, RingBuf};
use proxy_common::abi::{Counter, TraceEvent, TraceLease};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;
use zerocopy::FromBytes;

/// For so long decisions are shown after [`Watcher::renew`]: call it every second.
pub const LEASE: Duration = Duration::from_secs(3);

/// Who watches the decisions of a pin path. Dropping it ends that; where it could not be dropped, as in a process that
/// was killed, the lease ends it.
pub struct Watcher {
    maps: PinnedMaps,
    lease: MappedArray<TraceLease>,
    events: RingBuf<MapData>,
    /// When it began: what a former watcher left behind is older. As [`Self::until`], nanoseconds of CLOCK_MONOTONIC.
    since: u64,
    /// The lease's end.
    until: u64,
    /// [`Counter::TraceLost`] when it was last asked for.
    lost: u64,
    // Last: the lease ends before another watcher may begin.
    _lock: PinLock,
}

impl Watcher {
    /// Opens what an agent has pinned. Nothing is shown before [`Self::renew`].
    ///
    /// # Errors
    /// [`KernelError::Watched`] where another process watches: a ring buffer has one reader. Else as for
    /// [`PinnedMaps::read_only`].
    pub fn open(pin_path: &Path) -> Result<Self, KernelError> {
        let maps = PinnedMaps::read_only(pin_path)?;
        let (dirs, shapes) = (PinDirs::new(pin_path), object::shapes()?);
        let lock = PinLock::acquire(&dirs.maps).map_err(|error| match error {
            KernelError::Locked { holder, .. } => KernelError::Watched { path: pin_path.to_owned(), holder },
            other => other,
        })?;
        let lease = array(&dirs, &shapes, object::TRACE, Access::ReadWrite)?;
        let map = open_pin(&dirs, &shapes, object::EVENTS, Access::ReadWrite)?;
        let failed = |call, source| KernelError::Call { object: object::EVENTS, call, source };
        let fd = map.as_fd().try_clone_to_owned().map_err(|source| failed("dup", source))?;
        let events = MapData::from_fd(fd)
            .and_then(|data| RingBuf::try_from(Map::RingBuf(data)))
            .map_err(|error| failed("mmap", cause(error)))?;
        let lost = lost(&maps).map_err(|error| KernelError::Call {
            object: object::COUNTERS,
            call: error.call,
            source: error.source,
        })?;
        Ok(Self { maps, lease, events, since: now(), until: 0, lost, _lock: lock })
    }

    /// Has decisions shown for another [`LEASE`]. Returns how long none were, where the last lease had ended before.
    pub fn renew(&mut self) -> Option<Duration> {
        let now = now();
        let gap = (self.until != 0 && self.until < now).then(|| Duration::from_nanos(now - self.until));
        self.until = now + LEASE.as_nanos() as u64;
        let stored = self.lease.put(0, &TraceLease(self.until));
        debug_assert!(stored, "TRACE has one entry, and was mapped for writing");
        gap
    }

    /// The next decision; `None` if there is none yet: the descriptor ([`AsFd`]) becomes readable with the next one.
    pub fn next_event(&mut self) -> Option<TraceEvent> {
        while let Some(record) = self.events.next() {
            match TraceEvent::read_from_bytes(&record) {
                Ok(event) if event.time >= self.since => return Some(event),
                _ => {}
            }
        }
        None
    }

    /// Decisions that found no room in the ring buffer since this was last asked for.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_ELEM.
    pub fn lost(&mut self) -> Result<u64, WriteError> {
        let before = std::mem::replace(&mut self.lost, lost(&self.maps)?);
        Ok(self.lost.wrapping_sub(before))
    }

    /// The maps, to tell whom a decision is about.
    #[must_use]
    pub const fn maps(&self) -> &PinnedMaps {
        &self.maps
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let stored = self.lease.put(0, &TraceLease::default());
        debug_assert!(stored, "TRACE has one entry, and was mapped for writing");
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn lost(maps: &PinnedMaps) -> Result<u64, WriteError> {
    Ok(maps.counters()?[Counter::TraceLost as usize])
}

/// What the kernel said, of an error of aya's.
fn cause(error: MapError) -> io::Error {
    match error {
        MapError::SyscallError(error) => error.io_error,
        other => io::Error::other(other),
    }
}
