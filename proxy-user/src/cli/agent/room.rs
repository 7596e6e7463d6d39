//! When the agent looks how full the maps are that programs write, and has them grow.

use crate::{dataplane::Dataplane, engine::Remembered, server::Metrics};
use std::time::{Duration, Instant};

/// Between the end of one count and the next, and so between two growths: a flood doubles a map once in a while only.
const ROUND: Duration = Duration::from_secs(60);

/// Between two steps of a count, so that changes do not wait for its end.
const BETWEEN: Duration = Duration::from_millis(5);

/// How far it is.
#[derive(Debug)]
pub struct RoomWatch {
    due: Instant,
    /// The last count failed, and that was said.
    failed: bool,
}

impl RoomWatch {
    /// The first count begins in a while.
    pub fn new(now: Instant) -> Self {
        Self { due: now + ROUND, failed: false }
    }

    /// When [`Self::step`] is to be called.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Does a part of the count, and at its end has maps grow; `flows` are the entries that FLOWS has. True if a sync
    /// is to follow: maps have grown, or may be tried again to.
    pub fn step(&mut self, dataplane: &mut Dataplane, flows: Option<u32>, metrics: &Metrics) -> bool {
        match dataplane.count_remembered() {
            Ok(None) => {
                self.due = Instant::now() + BETWEEN;
                false
            }
            Ok(Some(counted)) => {
                self.due = Instant::now() + ROUND;
                self.failed = false;
                let used = Remembered { flows, ..counted };
                tracing::debug!(?used, "counted what programs remember");
                metrics.remembered(&used);
                let is_retried = retry(dataplane);
                dataplane.grow_remembered(&used) || is_retried
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!("{error}; maps of sockets and clients keep their size");
                }
                self.due = Instant::now() + ROUND;
                retry(dataplane)
            }
        }
    }
}

/// After a growth that failed: finishes what it has begun, and has the next sync try it again if it must; false if none
/// has failed.
fn retry(dataplane: &mut Dataplane) -> bool {
    let has_failed = dataplane.allow_growth();
    if has_failed && let Err(error) = dataplane.attach() {
        tracing::error!("{error}; programs and maps stay as they are, and it is tried again in a while");
    }
    has_failed
}
