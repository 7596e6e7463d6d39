//! What the log says of syncs: each of them while there are few, their sums while there are many. A storm makes a
//! thousand syncs a second, and one line each would fill a disk and tell nobody anything.

use std::time::{Duration, Instant};

/// So many lines of one sort at once …
const BURST: u32 = 20;
/// … and then one in so long.
const INTERVAL: Duration = Duration::from_secs(5);

/// What syncs did that were not told yet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Applied {
    /// How many syncs.
    pub syncs: usize,
    /// Events that they took in.
    pub events: usize,
    /// Services that were looked at.
    pub services: usize,
    /// Writes to mapped arrays.
    pub stores: usize,
    /// Frontends added, changed or removed.
    pub frontends: usize,
    /// The longest of them.
    pub took: Duration,
}

impl Applied {
    /// Writes the line.
    pub fn log(&self) {
        let Self { syncs, events, services, stores, frontends, took } = *self;
        if syncs == 1 {
            tracing::info!(events, services, stores, frontends, ?took, "applied changes");
        } else {
            tracing::info!(syncs, events, services, stores, frontends, longest = ?took, "applied changes");
        }
    }

    const fn is_nothing(&self) -> bool {
        self.events + self.services + self.stores + self.frontends == 0
    }

    fn add(&mut self, other: &Self) {
        let Self { syncs, events, services, stores, frontends, took } = other;
        self.syncs += syncs;
        self.events += events;
        self.services += services;
        self.stores += stores;
        self.frontends += frontends;
        self.took = self.took.max(*took);
    }
}

/// Which lines are written. Pure: it is told what time it is.
#[derive(Debug)]
pub struct SyncLog {
    applied: Ration,
    failed: Ration,
    sum: Applied,
    failures: u64,
}

impl SyncLog {
    /// Nothing has happened yet.
    pub const fn new(now: Instant) -> Self {
        Self { applied: Ration::new(now), failed: Ration::new(now), sum: NOTHING, failures: 0 }
    }

    /// A sync was made; what is to be told of it and those before it.
    pub fn applied(&mut self, sync: Applied, now: Instant) -> Option<Applied> {
        if sync.is_nothing() {
            return None;
        }
        self.sum.add(&sync);
        self.applied.pass(now).then(|| std::mem::take(&mut self.sum))
    }

    /// Nothing changes any more: what is left to be told.
    pub fn rest(&mut self) -> Option<Applied> {
        Some(std::mem::take(&mut self.sum)).filter(|sum| !sum.is_nothing())
    }

    /// A sync has failed; how many have that were not told yet, if it is to be told.
    pub fn failed(&mut self, now: Instant) -> Option<u64> {
        self.failures += 1;
        self.failed.pass(now).then(|| std::mem::take(&mut self.failures))
    }
}

const NOTHING: Applied =
    Applied { syncs: 0, events: 0, services: 0, stores: 0, frontends: 0, took: Duration::ZERO };

/// [`BURST`] lines at once, and then one in an [`INTERVAL`].
#[derive(Debug)]
pub(super) struct Ration {
    left: u32,
    filled: Instant,
}

impl Ration {
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now }
    }

    /// Whether a line may be written now.
    pub(super) fn pass(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled).as_millis() / INTERVAL.as_millis();
        if passed > 0 {
            self.left = self.left.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX)).min(BURST);
            self.filled = now;
        }
        let passes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sync(milliseconds: u64) -> Applied {
        let took = Duration::from_millis(milliseconds);
        Applied { syncs: 1, events: 3, services: 2, stores: 6, frontends: 0, took }
    }

    #[test]
    fn few_syncs_are_told_one_by_one() {
        let start = Instant::now();
        let mut log = SyncLog::new(start);
        for minute in 0..100 {
            let now = start + Duration::from_secs(60 * minute);
            assert_eq!(log.applied(sync(minute), now), Some(sync(minute)));
            assert_eq!(log.applied(Applied { syncs: 1, ..NOTHING }, now), None, "one that did nothing");
        }
        assert_eq!(log.rest(), None);
    }

    #[test]
    fn a_storm_is_summed_up_and_nothing_of_it_is_lost() {
        let (start, mut told, mut sum) = (Instant::now(), 0, NOTHING);
        let mut log = SyncLog::new(start);
        // A minute of a thousand syncs a second.
        for millisecond in 0..60_000 {
            let now = start + Duration::from_millis(millisecond);
            if let Some(line) = log.applied(sync(millisecond % 7), now) {
                told += 1;
                sum.add(&line);
            }
        }
        assert!(told <= BURST as usize + 60 / 5, "{told} lines");
        sum.add(&log.rest().unwrap());
        let all = Applied { syncs: 60_000, events: 180_000, services: 120_000, stores: 360_000, ..sync(6) };
        assert_eq!(sum, all);
    }

    #[test]
    fn failures_that_never_end_are_counted() {
        let start = Instant::now();
        let mut log = SyncLog::new(start);
        let told = (0..1_000).filter_map(|_| log.failed(start)).count();
        assert_eq!(told, BURST as usize);
        assert_eq!(log.failed(start + INTERVAL), Some(1_000 - u64::from(BURST) + 1));
        assert!(log.applied(sync(1), start).is_some(), "what goes well has lines of its own");
    }
}
