//! The agent's part of the watchman: when it looks, and who is told what it found.

use super::Teller;
use crate::{
    dataplane::Dataplane,
    kernel::{
        KernelError,
        watchman::{Finding, Round, Severity},
    },
    recorder::{Notice, Reason},
    server::Metrics,
    source::filters::FilterFollower,
};
use std::time::{Duration, Instant};

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
    /// What was found at the last look, and told.
    known: Vec<Finding>,
}

impl Watchman {
    /// Looks for the first time as soon as it is asked to. With `devices` it hears of what happens to their filters.
    pub fn start(devices: bool, now: Instant) -> Self {
        let filters = devices.then(FilterFollower::start).transpose().unwrap_or_else(|error| {
            tracing::warn!("{error}; filters are looked at every {PERIOD:?} all the same");
            None
        });
        Self { due: now, looked: now, filters, known: Vec::new() }
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
        let Round { restored, found, lost } = dataplane.watch();
        self.looked = Instant::now();
        self.due = self.looked + PERIOD;
        metrics.watched(&restored, &found);
        if !restored.is_empty() {
            let text = sentence(&restored);
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
