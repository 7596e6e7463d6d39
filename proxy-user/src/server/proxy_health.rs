//! Whether this node's proxy does its work: whether what it was told reaches the kernel in time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// An update that has waited so long for the kernel is a failure: twice kube-proxy's syncPeriod of 30 s, its
/// rule for /healthz.
pub const TOLERANCE: Duration = Duration::from_secs(60);

/// Whether load balancers may send new connections to this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NodeEligibility {
    /// Nothing speaks against it. So also until somebody knows better: an API server that does not answer while
    /// the agent restarts must not take the node out of every load balancer, since what is pinned goes on serving.
    #[default]
    Eligible,
    /// Its Node is being deleted, or the cluster autoscaler is about to take it away (the taint
    /// `ToBeDeletedByClusterAutoscaler`, whatever its effect).
    Leaving,
    /// The lists are complete and hold no Node of this name, or it was deleted.
    Unknown,
}

/// Shared by who programs the kernel and those who tell others about it. Healthy until an update waits too
/// long; so also at the start.
#[derive(Debug, Default)]
pub struct ProxyHealth(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since when the oldest update waits that the kernel has not taken yet.
    waiting: Option<Instant>,
    applied: Option<SystemTime>,
    node: NodeEligibility,
    ready: bool,
}

/// What is known at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealthStatus {
    /// No update has waited for [`TOLERANCE`] or longer.
    pub healthy: bool,
    /// When the kernel has taken all that waited, last.
    pub applied: Option<SystemTime>,
    /// Whether load balancers may send new connections to this node.
    pub node: NodeEligibility,
    /// The first complete lists have reached the kernel.
    pub ready: bool,
}

impl ProxyHealth {
    /// An update waits for the kernel from now on, unless an older one does. What is taken in before the first
    /// complete lists is none: it is not to be written yet.
    pub fn queued(&self, now: Instant) {
        self.state().waiting.get_or_insert(now);
    }

    /// The kernel has taken all that waited.
    pub fn applied(&self) {
        self.applied_at(SystemTime::now());
    }

    /// The same at a moment of the caller's.
    pub fn applied_at(&self, now: SystemTime) {
        let mut state = self.state();
        (state.waiting, state.applied) = (None, Some(now));
    }

    /// The first complete lists have reached the kernel: ready, to the end of the process.
    pub fn ready(&self) {
        self.state().ready = true;
    }

    /// What the Node object of this node says from now on.
    pub fn node(&self, node: NodeEligibility) {
        self.state().node = node;
    }

    /// False if an update has waited for [`TOLERANCE`] or longer.
    #[must_use]
    pub fn is_healthy(&self, now: Instant) -> bool {
        self.status(now).healthy
    }

    /// All that is known.
    #[must_use]
    pub fn status(&self, now: Instant) -> HealthStatus {
        let state = self.state();
        let healthy = state.waiting.is_none_or(|since| now.saturating_duration_since(since) < TOLERANCE);
        HealthStatus { healthy, applied: state.applied, node: state.node, ready: state.ready }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
