//! Reports on their way to the servers' thread: of each Service the last one, so that no storm of changes fills memory.

use crate::{
    engine::{HealthChange, HealthReport},
    model::ObjectName,
    select::HealthCheck,
};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// Shared by who reports and who answers.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    checks: BTreeMap<ObjectName, Option<HealthCheck>>,
    addresses: Option<Vec<IpAddr>>,
    closed: bool,
}

impl Inbox {
    /// Adds a report to those that wait.
    pub fn put(&self, report: HealthReport) {
        let HealthReport { changes, addresses } = report;
        let mut waiting = self.waiting();
        waiting.checks.extend(changes.into_iter().map(|HealthChange { service, check }| (service, check)));
        waiting.addresses = addresses.or(waiting.addresses.take());
        drop(waiting);
        self.changed.notify_one();
    }

    /// No more reports come.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_one();
    }

    /// Waits for reports, and gives all of them as one; `None` once no more come. Cancel-safe.
    pub async fn next(&self) -> Option<HealthReport> {
        loop {
            if let Some(taken) = self.take() {
                return taken;
            }
            self.changed.notified().await;
        }
    }

    /// What waits, or that nothing more will.
    fn take(&self) -> Option<Option<HealthReport>> {
        let mut waiting = self.waiting();
        if waiting.checks.is_empty() && waiting.addresses.is_none() {
            return waiting.closed.then_some(None);
        }
        let checks = std::mem::take(&mut waiting.checks).into_iter();
        let changes = checks.map(|(service, check)| HealthChange { service, check }).collect();
        Some(Some(HealthReport { changes, addresses: waiting.addresses.take() }))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(service: u32, port: u16) -> HealthReport {
        let check = HealthCheck { port, ready: [Some(1), None] };
        let service = ObjectName::new("default", service.to_string());
        HealthReport { changes: vec![HealthChange { service, check: Some(check) }], addresses: None }
    }

    #[test]
    fn of_each_service_the_last_report_waits() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let inbox = Inbox::default();
        let addresses = |last: u8| Some(vec![IpAddr::from([127, 0, 0, last])]);
        inbox.put(HealthReport { addresses: addresses(1), ..HealthReport::default() });
        for round in 0..1_000 {
            (0..3).for_each(|service| inbox.put(report(service, round)));
        }
        inbox.put(HealthReport { addresses: addresses(2), ..HealthReport::default() });
        let taken = runtime.block_on(inbox.next()).unwrap();
        let last: Vec<_> = (0..3).flat_map(|service| report(service, 999).changes).collect();
        assert_eq!((taken.changes, taken.addresses), (last, addresses(2)));
        inbox.put(report(7, 7));
        inbox.close();
        assert_eq!(
            runtime.block_on(inbox.next()),
            Some(report(7, 7)),
            "what was reported before the end counts"
        );
        assert_eq!(runtime.block_on(inbox.next()), None);
    }
}
