//! When the agent ages the flows of packets.

use crate::{dataplane::Dataplane, server::Metrics};
use proxy_common::abi::Counter;
use std::time::{Duration, Instant};

/// Between the end of one round and the next: the shortest timeouts are 10 seconds.
const ROUND: Duration = Duration::from_secs(15);

/// Between two steps of a round, so that changes do not wait for its end.
const BETWEEN: Duration = Duration::from_millis(5);

/// What it has done of a round.
#[derive(Debug)]
pub struct FlowCollection {
    due: Instant,
    looked: usize,
    removed: usize,
    /// Entries that the last whole round has left.
    entries: Option<u32>,
    /// The last round failed, and that was said.
    failed: bool,
    /// How many flows found no room and no source port, when it was looked at last.
    dropped: [u64; 2],
}

impl FlowCollection {
    /// The first round begins in a while.
    pub fn new(now: Instant) -> Self {
        Self { due: now + ROUND, looked: 0, removed: 0, entries: None, failed: false, dropped: [0; 2] }
    }

    /// When [`Self::step`] is to be called.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Entries of FLOWS that the last whole round has left.
    pub const fn entries(&self) -> Option<u32> {
        self.entries
    }

    /// Does a part of the round.
    pub fn step(&mut self, dataplane: &mut Dataplane, metrics: &Metrics) {
        let pause = match dataplane.collect_flows() {
            Ok(step) => {
                self.looked += step.looked;
                self.removed += step.removed;
                if step.finished {
                    let (looked, removed) = (self.looked, self.removed);
                    tracing::debug!(looked, removed, "aged the entries of flows");
                    metrics.aged(looked, removed);
                    self.entries = u32::try_from(looked.saturating_sub(removed)).ok();
                    (self.looked, self.removed, self.failed) = (0, 0, false);
                    self.report(dataplane);
                    ROUND
                } else {
                    BETWEEN
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(
                        "{error}; flows that have ended wait, and the oldest make room for new ones"
                    );
                }
                ROUND
            }
        };
        self.due = Instant::now() + pause;
    }

    /// Says that flows were dropped since it was said last, and what can be done.
    fn report(&mut self, dataplane: &Dataplane) {
        let count = |counter| dataplane.counter(counter).unwrap_or_default();
        let dropped = [Counter::FlowsFull, Counter::PortsExhausted].map(count);
        let [full, ports] = [0, 1].map(|index| dropped[index].saturating_sub(self.dropped[index]));
        self.dropped = dropped;
        if full > 0 {
            tracing::warn!(dropped = full, "flows found no room in FLOWS");
        }
        if ports > 0 {
            tracing::warn!(
                dropped = ports,
                "flows found no free source port towards their endpoint: --snat-ports gives more"
            );
        }
    }
}
