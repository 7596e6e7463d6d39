//! Keeps a listener open for every health check, wherever it is to be answered: the task of the servers'
//! thread.

use super::{
    checked::Checked,
    inbox::Inbox,
    news::{News, Problem, Trouble},
};
use crate::{
    engine::{HealthChange, HealthReport},
    model::ObjectName,
    select::HealthCheck,
    server::ProxyHealth,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a trouble that lasts is news again.
const REMIND: Duration = Duration::from_secs(600);

pub(super) struct Keeper<F> {
    health: Arc<ProxyHealth>,
    retry: Duration,
    tell: F,
    addresses: Vec<IpAddr>,
    services: BTreeMap<ObjectName, Checked>,
    /// Who wants a port, first come first: the first one has it.
    claims: BTreeMap<u16, Vec<ObjectName>>,
    /// Services in trouble.
    failing: BTreeSet<ObjectName>,
}

impl<F: FnMut(&News)> Keeper<F> {
    pub fn new(health: Arc<ProxyHealth>, retry: Duration, tell: F) -> Self {
        Self {
            health,
            retry,
            tell,
            addresses: Vec::new(),
            services: BTreeMap::new(),
            claims: BTreeMap::new(),
            failing: BTreeSet::new(),
        }
    }

    /// Follows reports until nobody sends any more; then every port is free.
    pub async fn run(mut self, reports: &Inbox) {
        let mut next_try = None;
        loop {
            let pause = async {
                match next_try {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let touched = tokio::select! {
                report = reports.next() => match report {
                    Some(report) => self.follow(report).await,
                    None => break,
                },
                () = pause => {
                    next_try = None;
                    self.failing.clone()
                }
            };
            self.open(touched).await;
            if self.failing.is_empty() {
                next_try = None;
            } else {
                next_try.get_or_insert_with(|| tokio::time::Instant::now() + self.retry);
            }
        }
        for checked in self.services.values_mut() {
            checked.close().await;
        }
    }

    /// Takes a report; gives back the Services whose listeners must be looked at. Ports are freed before anybody
    /// takes one: two Services may swap theirs.
    async fn follow(&mut self, report: HealthReport) -> BTreeSet<ObjectName> {
        let HealthReport { changes, addresses } = report;
        let mut touched = BTreeSet::new();
        for HealthChange { service, check } in &changes {
            touched.extend(self.leave(service, check.map(|check| check.port)).await);
        }
        for HealthChange { service, check } in changes {
            if let Some(check) = check {
                self.take(&service, check);
                touched.insert(service);
            }
        }
        if let Some(addresses) = addresses {
            self.addresses = addresses;
            touched.extend(self.services.keys().cloned());
        }
        touched
    }

    /// A Service gives up its port, unless it is the one that it has from now on; gives back the Service that
    /// has it then.
    async fn leave(&mut self, service: &ObjectName, wanted: Option<u16>) -> Option<ObjectName> {
        let port = self.services.get(service)?.port();
        if wanted == Some(port) {
            return None;
        }
        self.failing.remove(service);
        let mut checked = self.services.remove(service)?;
        checked.close().await;
        let claims = self.claims.get_mut(&port)?;
        claims.retain(|other| other != service);
        let heir = claims.first().cloned();
        if heir.is_none() {
            self.claims.remove(&port);
        }
        heir
    }

    fn take(&mut self, service: &ObjectName, check: HealthCheck) {
        if let Some(checked) = self.services.get_mut(service) {
            return checked.update(check);
        }
        self.claims.entry(check.port).or_default().push(service.clone());
        let checked = Checked::new(service.clone(), check, Arc::clone(&self.health));
        self.services.insert(service.clone(), checked);
    }

    /// Listens where it should and does not yet, and tells what came of it.
    async fn open(&mut self, touched: BTreeSet<ObjectName>) {
        let (mut news, now) = (News::default(), Instant::now());
        for service in touched {
            let Some(checked) = self.services.get_mut(&service) else { continue };
            let port = checked.port();
            let first = self.claims.get(&port).and_then(|claims| claims.first());
            let trouble = match first.filter(|first| **first != service) {
                Some(other) => Some(Trouble::Taken(other.clone())),
                None => checked.open(&self.addresses).await,
            };
            match trouble {
                None => {
                    self.failing.remove(&service);
                    if checked.reported.take().is_some() {
                        news.mended.push((service, port));
                    }
                }
                Some(trouble) => {
                    self.failing.insert(service.clone());
                    let is_known = checked
                        .reported
                        .as_ref()
                        .is_some_and(|(known, at)| *known == trouble && now.duration_since(*at) < REMIND);
                    if !is_known {
                        news.failed.push(Problem { service, port, trouble: trouble.clone() });
                        checked.reported = Some((trouble, now));
                    }
                }
            }
        }
        if !news.failed.is_empty() || !news.mended.is_empty() {
            (self.tell)(&news);
        }
    }
}
