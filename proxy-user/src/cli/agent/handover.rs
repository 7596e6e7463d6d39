//! How long connections that kube-proxy has begun are left to the kernel. Pure: it is told what time it is.

use std::time::{Duration, Instant};

/// So long after kube-proxy's rules were last seen, what they have translated may go on: connections that are older,
/// and idle for longer, are rare. As long as it lasts, a flow of ours that was evicted is not found again.
const LASTS: Duration = Duration::from_secs(3_600);

/// Whether kube-proxy was here lately.
#[derive(Debug)]
pub struct Handover {
    until: Option<Instant>,
}

impl Handover {
    /// Goes on with what a former agent did.
    pub fn new(lasts: bool, now: Instant) -> Self {
        Self { until: lasts.then(|| now + LASTS) }
    }

    /// Whether connections that nobody here has begun are left to the kernel, after a look for kube-proxy's rules.
    pub fn looked(&mut self, found: bool, now: Instant) -> bool {
        if found {
            self.until = Some(now + LASTS);
        }
        self.until = self.until.filter(|until| now < *until);
        self.until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lasts_an_hour_after_kube_proxy_was_last_seen() {
        let start = Instant::now();
        let after = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let mut handover = Handover::new(false, start);
        assert!(!handover.looked(false, start), "kube-proxy was never here");
        assert!(handover.looked(true, start) && handover.looked(true, after(500)));
        assert!(handover.looked(false, after(559)));
        assert!(!handover.looked(false, after(560)) && !handover.looked(false, after(561)));
        assert!(handover.looked(true, after(600)), "it came back");
    }

    #[test]
    fn an_agent_that_is_restarted_meanwhile_goes_on_with_it() {
        let start = Instant::now();
        let mut heir = Handover::new(true, start);
        assert!(heir.looked(false, start + LASTS / 2) && !heir.looked(false, start + LASTS));
    }
}
