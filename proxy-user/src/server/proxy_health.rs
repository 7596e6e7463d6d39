//! Whether this node's proxy does its work: whether what it was told reaches the kernel in time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// An update that has waited so long for the kernel is a failure: twice kube-proxy's syncPeriod of 30 s, its
/// rule for /healthz.
pub const TOLERANCE: Duration = Duration::from_secs(60);

/// Shared by who programs the kernel and those who tell others about it. Healthy until an update waits too
/// long; so also at the start.
#[derive(Debug, Default)]
pub struct ProxyHealth {
    /// Since when the oldest update waits that the kernel has not taken yet.
    waiting: Mutex<Option<Instant>>,
}

impl ProxyHealth {
    /// An update waits for the kernel from now on, unless an older one does.
    pub fn queued(&self, now: Instant) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
    }

    /// The kernel has taken all that waited.
    pub fn applied(&self) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// False if an update has waited for [`TOLERANCE`] or longer.
    #[must_use]
    pub fn is_healthy(&self, now: Instant) -> bool {
        let waiting = *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.is_none_or(|since| now.saturating_duration_since(since) < TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_update_that_waits_decides_and_one_success_makes_all_good() {
        let (start, health) = (Instant::now(), ProxyHealth::default());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(health.is_healthy(after(1_000)), "nothing to do is no failure");
        health.queued(after(10));
        health.queued(after(60));
        assert!(health.is_healthy(after(69)));
        assert!(!health.is_healthy(after(70)), "the first of them has waited for 60 s");
        health.applied();
        assert!(health.is_healthy(after(70)));
        health.queued(after(71));
        assert!(health.is_healthy(after(130)) && !health.is_healthy(after(131)));
        assert!(health.is_healthy(start), "a clock that was read before");
    }
}
