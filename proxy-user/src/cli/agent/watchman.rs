//! The agent's part of the watchman: when it looks, and who is told what it found.

use super::{Teller, sync_log::Ration};
use crate::{
    dataplane::Dataplane,
    kernel::{
        KernelError,
        watchman::{Fault, Finding, Round, Severity},
    },
    recorder::{Notice, Reason},
    server::Metrics,
    source::filters::FilterFollower,
};
use std::{
    collections::BTreeSet,
    mem,
    time::{Duration, Instant},
};

/// Between two looks, where nothing is heard of meanwhile: the kernel tells nobody of a link that is detached, and until it
/// is back nothing is balanced. A look takes some fifty system calls.
const PERIOD: Duration = Duration::from_secs(1);

/// Between two looks at least, however much is heard of.
const SOONEST: Duration = Duration::from_millis(200);

/// So many findings are named in one line or Event; others are counted.
const NAMED: usize = 8;

/// Looks every second, and when filters of devices change.
pub struct Watchman {
    due: Instant,
    looked: Instant,
    /// `None` where no device has programs of ours.
    filters: Option<FilterFollower>,
    /// What was found at the last look at each of these places, and told.
    known: Vec<Finding>,
    /// Whoever takes away again and again what is restored fills neither the log nor the Events of the Node.
    restored: Ration,
    /// What was restored and not told.
    untold: usize,
}

impl Watchman {
    /// Looks for the first time as soon as it is asked to. With `devices` it hears of what happens to their filters.
    pub fn start(devices: bool, now: Instant) -> Self {
        let filters = devices.then(FilterFollower::start).transpose().unwrap_or_else(|error| {
            tracing::warn!("{error}; filters are looked at every {PERIOD:?} all the same");
            None
        });
        Self { due: now, looked: now, filters, known: Vec::new(), restored: Ration::new(now), untold: 0 }
    }

    /// When to look next.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Waits until something happens that is to be looked at, and then does so soon; for ever where nothing is heard of.
    pub async fn noticed(&mut self) {
        match &mut self.filters {
            Some(filters) => filters.next().await,
            None => std::future::pending().await,
        }
        self.due = self.due.min(self.looked + SOONEST);
    }

    /// Looks, and tells.
    ///
    /// # Errors
    /// [`KernelError::Locked`]: another agent has the pin path, so this one must write no more.
    pub fn look(
        &mut self,
        dataplane: &mut Dataplane,
        metrics: &Metrics,
        teller: &Teller,
    ) -> Result<(), KernelError> {
        let Round { restored, found, passed_over, lost } = dataplane.watch();
        self.looked = Instant::now();
        self.due = self.looked + PERIOD;
        let found = standing(&self.known, found, &passed_over);
        metrics.watched(&restored, &found);
        if !restored.is_empty() && !self.restored.pass(self.looked) {
            self.untold += restored.len();
        } else if !restored.is_empty() {
            let mut text = sentence(&restored);
            let untold = mem::take(&mut self.untold);
            if untold > 0 {
                text = format!("{text}; and {untold} more since this was last told");
            }
            tracing::warn!("restored what somebody had taken away: {text}");
            teller.record([Notice::node(Reason::AttachmentRestored, format!("restored: {text}"))]);
        }
        let new: Vec<_> = found.iter().filter(|finding| !self.known.contains(finding)).cloned().collect();
        for finding in self.known.iter().filter(|finding| !found.contains(finding)) {
            tracing::info!("no longer so: {finding}");
        }
        tell(&new, teller);
        self.known = found;
        lost.map_or(Ok(()), Err)
    }
}

/// What is not as it should be: what this round found, and what was known of devices that it did not come to.
fn standing(known: &[Finding], mut found: Vec<Finding>, passed_over: &BTreeSet<u32>) -> Vec<Finding> {
    let stays = |finding: &&Finding| {
        let is_passed_over = finding.hook.device.is_some_and(|device| passed_over.contains(&device));
        // Pins are looked at in every round, those of devices too.
        is_passed_over && finding.fault != Fault::Unpinned
    };
    let kept: Vec<_> = known.iter().filter(stays).cloned().collect();
    found.extend(kept);
    found
}

/// Notes stand in the log alone.
fn tell(new: &[Finding], teller: &Teller) {
    for finding in new {
        match finding.severity {
            Severity::Note => tracing::info!("{finding}"),
            Severity::Degraded => tracing::warn!("{finding}"),
            Severity::Broken => tracing::error!("{finding}"),
        }
    }
    for (reason, foreign) in [(Reason::ForeignProgram, true), (Reason::NotInEffect, false)] {
        let findings = new.iter().filter(|finding| finding.severity > Severity::Note);
        let findings = findings.filter(|finding| finding.fault.is_foreign_program() == foreign).cloned();
        let findings: Vec<_> = findings.collect();
        if !findings.is_empty() {
            teller.record([Notice::node(reason, sentence(&findings))]);
        }
    }
}

/// Several in one line.
fn sentence(findings: &[Finding]) -> String {
    let mut named: Vec<_> = findings.iter().take(NAMED).map(ToString::to_string).collect();
    if let Some(more) = findings.len().checked_sub(NAMED).filter(|more| *more > 0) {
        named.push(format!("and {more} more"));
    }
    named.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::watchman::Hook;

    fn found(hook: Hook, fault: Fault) -> Finding {
        Finding { hook, fault, severity: fault.severity(), text: "so it is".into() }
    }

    /// With 100 devices a round comes to 64 of them: what stands on any of them is said once.
    #[test]
    fn what_was_found_stands_until_a_round_comes_there_again() {
        let xdp = |device| found(Hook::on("ingress", device), Fault::Xdp);
        let devices: BTreeSet<u32> = (0..100).collect();
        let (mut known, mut said) = (Vec::new(), 0);
        for round in 0..10_u32 {
            let visited: BTreeSet<_> = (0..64).map(|place| (round * 64 + place) % 100).collect();
            let passed_over = devices.difference(&visited).copied().collect();
            let now = standing(&known, visited.iter().copied().map(xdp).collect(), &passed_over);
            assert!(known.iter().all(|finding| now.contains(finding)), "none is no longer so");
            said += now.iter().filter(|finding| !known.contains(finding)).count();
            known = now;
        }
        assert_eq!((said, known.len()), (100, 100));
        // One is looked at again, one is no longer wanted, and nothing else of the node is passed over.
        let standing_now = standing(&known, vec![], &(2..100).collect());
        assert_eq!(standing_now.len(), 98);
        let others =
            [found(Hook::new("cgroup"), Fault::Missing), found(Hook::on("ingress", 2), Fault::Unpinned)];
        assert_eq!(standing(&others, vec![], &devices), []);
    }
}
