//! What the agent tells as it works.

use super::{
    api::ApiSnapshot,
    exposition::Exposition,
    kernel::KernelSnapshot,
    own::{MAPS, room_of},
    process::{self, ProcessSnapshot},
    text::Format,
};
use crate::{
    engine::{Growth, Remembered, SyncReport},
    kernel::watchman::Finding,
    model::{Event, Family},
    server::Probe,
    table::Usage,
    writer::Capacities,
};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets, linear_buckets};
use std::{
    collections::BTreeMap,
    iter,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Trigger times that wait for a sync at most; more of them would say nothing new about how late it is.
const TRIGGERS: usize = 65_536;

/// What an agent's metrics are made of. Clones are of one and the same; telling it something costs a few atomic
/// additions.
#[derive(Clone, Debug)]
pub struct Metrics(pub(super) Arc<State>);

#[derive(Debug)]
pub(super) struct State {
    started: SystemTime,
    /// Of one sync, in seconds: all, those of everything, those of what changed.
    pub sync: Histogram,
    pub full: Histogram,
    pub partial: Histogram,
    /// In the order of [`Family::BOTH`].
    pub programming: [Histogram; 2],
    pub change_age: Histogram,
    pub queued: Moment,
    pub synced: Moment,
    pub services: Changes,
    pub endpoints: Changes,
    /// `[200, 503]` of /healthz and of /livez.
    pub healthz: [Count; 2],
    pub livez: [Count; 2],
    pub failures: Count,
    pub stores: Count,
    pub puts: Count,
    pub deletes: Count,
    pub prefixes: Count,
    pub grace_periods: Count,
    pub growth_failures: Count,
    pub audits: Count,
    pub audit_writes: Count,
    pub unplaced: Count,
    pub conflicts: Count,
    pub expired: Count,
    pub sockets_closed: Count,
    pub devices_wanted: Count,
    pub unreadable: Count,
    watched: Mutex<Watched>,
    maps: Mutex<Maps>,
    triggers: Mutex<Vec<(Family, SystemTime)>>,
}

/// A number that the agent writes and scrapes read.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: usize) {
        self.0.store(value as u64, Ordering::Relaxed);
    }

    fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }
}

/// A moment of the wall clock: seconds since 1970, as the bits of an `f64`; zero for never.
#[derive(Debug, Default)]
pub(super) struct Moment(AtomicU64);

impl Moment {
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, now: SystemTime) {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.0.store(seconds.to_bits(), Ordering::Relaxed);
    }
}

/// Changes that were taken in, and those of them that no sync has programmed yet.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub total: Count,
    pub pending: Count,
}

impl Changes {
    fn add(&self) {
        self.total.add(1);
        self.pending.add(1);
    }
}

/// Hook and fault.
pub(super) type Place = (&'static str, &'static str);

/// What the watchman has done and sees.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub restored: BTreeMap<Place, u64>,
    pub found: BTreeMap<Place, u64>,
}

/// How full the maps are, as the agent knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Maps {
    pub known: Option<(Usage, Capacities)>,
    /// Bytes that all maps together may take.
    pub limit: Option<u64>,
    /// How often each has grown, in the order of [`room_of`].
    pub growths: [u64; MAPS],
    /// As they were counted last; FLOWS apart.
    pub remembered: Remembered,
    /// Entries of FLOWS, as the last round of aging found them.
    pub flows: Option<usize>,
}

impl Metrics {
    /// Of an agent that starts now.
    #[must_use]
    pub fn new(now: SystemTime) -> Self {
        // As kube-proxy's (pkg/proxy/metrics/metrics.go).
        let sync = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        Self(Arc::new(State {
            started: now,
            sync: sync(),
            full: sync(),
            partial: sync(),
            programming: [programming(), programming()],
            // From 100 microseconds to 13 seconds.
            change_age: Histogram::new(exponential_buckets(0.0001, 2.0, 18)),
            queued: Moment::default(),
            synced: Moment::default(),
            services: Changes::default(),
            endpoints: Changes::default(),
            healthz: Default::default(),
            livez: Default::default(),
            failures: Count::default(),
            stores: Count::default(),
            puts: Count::default(),
            deletes: Count::default(),
            prefixes: Count::default(),
            grace_periods: Count::default(),
            growth_failures: Count::default(),
            audits: Count::default(),
            audit_writes: Count::default(),
            unplaced: Count::default(),
            conflicts: Count::default(),
            expired: Count::default(),
            sockets_closed: Count::default(),
            devices_wanted: Count::default(),
            unreadable: Count::default(),
            watched: Mutex::default(),
            maps: Mutex::default(),
            triggers: Mutex::default(),
        }))
    }

    /// A change was taken in and is to be programmed.
    pub fn changed(&self, event: &Event) {
        match event {
            Event::ServiceApplied(_) | Event::ServiceDeleted(_) => self.0.services.add(),
            Event::SliceApplied(_) | Event::SliceDeleted(_) => self.0.endpoints.add(),
            Event::NodeApplied(_)
            | Event::NodeDeleted(_)
            | Event::ServiceCidrApplied(_)
            | Event::ServiceCidrDeleted(_)
            | Event::LocalAddresses(_) => {}
        }
    }

    /// A slice was changed because of something that happened at `at`, its annotation
    /// `endpoints.kubernetes.io/last-change-trigger-time`. The next sync that succeeds is measured from there. As with
    /// kube-proxy, what happened before the agent started does not count.
    pub fn triggered(&self, family: Family, at: SystemTime) {
        let mut triggers = locked(&self.0.triggers);
        if at >= self.0.started && triggers.len() < TRIGGERS {
            triggers.push((family, at));
        }
    }

    /// A sync is due because something changed.
    pub fn queued(&self, now: SystemTime) {
        self.0.queued.set(now);
    }

    /// A sync succeeded; `full`: it looked at everything, as the first one does.
    pub fn synced(&self, report: &SyncReport, took: Duration, full: bool, now: SystemTime) {
        let state = &*self.0;
        self.took(took, full);
        state.synced.set(now);
        state.services.pending.set(0);
        state.endpoints.pending.set(0);
        state.stores.add(report.stores);
        state.puts.add(report.puts);
        state.deletes.add(report.deletes);
        state.prefixes.add(report.prefixes);
        state.grace_periods.add(report.grace_periods);
        state.growth_failures.add(usize::from(report.growth_failed.is_some()));
        for Growth { before, after, .. } in &report.growths {
            let mut maps = locked(&state.maps);
            let grown =
                room_of(before).into_iter().zip(room_of(after)).map(|(before, after)| before != after);
            maps.growths.iter_mut().zip(grown).for_each(|(count, grown)| *count += u64::from(grown));
        }
        let triggers = std::mem::take(&mut *locked(&state.triggers));
        for (family, at) in triggers {
            // A clock that was set back in between.
            let late = now.duration_since(at).unwrap_or_default();
            state.programming[family as usize].observe(late.as_secs_f64());
        }
    }

    /// A sync succeeded; so long ago the oldest of its changes came to this process.
    pub fn aged_change(&self, age: Duration) {
        self.0.change_age.observe(age.as_secs_f64());
    }

    /// The maps were compared with what is known, and so much was written to mend them.
    pub fn audited(&self, writes: usize) {
        self.0.audits.add(1);
        self.0.audit_writes.add(writes);
    }

    /// A sync failed; what was not written is tried again.
    pub fn sync_failed(&self, took: Duration, full: bool) {
        self.took(took, full);
        self.0.failures.add(1);
    }

    fn took(&self, took: Duration, full: bool) {
        let kind = if full { &self.0.full } else { &self.0.partial };
        [&self.0.sync, kind].into_iter().for_each(|histogram| histogram.observe(took.as_secs_f64()));
    }

    /// How full the maps are: [`Engine::usage`](crate::engine::Engine::usage) after a sync.
    pub fn filled(&self, usage: Usage, capacities: Capacities) {
        locked(&self.0.maps).known = Some((usage, capacities));
    }

    /// Entries in use of maps that programs write.
    pub fn remembered(&self, used: &Remembered) {
        locked(&self.0.maps).remembered = *used;
    }

    /// What maps may grow to: bytes of all of them together.
    pub fn limited(&self, bytes: u64) {
        locked(&self.0.maps).limit = Some(bytes);
    }

    /// Service ports that found no room, now.
    pub fn unplaced(&self, count: usize) {
        self.0.unplaced.set(count);
    }

    /// Frontends that more than one Service claims, now.
    pub fn conflicts(&self, count: usize) {
        self.0.conflicts.set(count);
    }

    /// A round of aging is over: it has looked at so many entries of FLOWS and removed some of them.
    pub fn aged(&self, looked: usize, removed: usize) {
        locked(&self.0.maps).flows = Some(looked.saturating_sub(removed));
        self.0.expired.add(removed);
    }

    /// Devices that the packet programs are wanted on, now.
    pub fn devices_wanted(&self, count: usize) {
        self.0.devices_wanted.set(count);
    }

    /// Connected UDP sockets were closed because their endpoint is gone.
    pub fn sockets_closed(&self, count: usize) {
        self.0.sockets_closed.add(count);
    }

    /// The watchman has looked: so much was restored, and so much is not as it should be now.
    pub fn watched(&self, restored: &[Finding], found: &[Finding]) {
        let place = |finding: &Finding| (finding.hook.name, finding.fault.word());
        let mut watched = locked(&self.0.watched);
        for finding in restored {
            *watched.restored.entry(place(finding)).or_default() += 1;
        }
        watched.found.clear();
        for finding in found {
            *watched.found.entry(place(finding)).or_default() += 1;
        }
    }

    /// A probe was answered.
    pub fn probed(&self, probe: Probe, is_passed: bool) {
        let counts = match probe {
            Probe::Healthz => &self.0.healthz,
            Probe::Livez => &self.0.livez,
            Probe::Readyz => return,
        };
        counts[usize::from(!is_passed)].add(1);
    }

    /// The kernel could not be asked at a scrape.
    pub(super) fn unreadable(&self) {
        self.0.unreadable.add(1);
    }

    /// All metrics, as text. What is not given is left out.
    #[must_use]
    pub fn encode(&self, format: Format, kernel: Option<KernelSnapshot>, api: Option<ApiSnapshot>) -> String {
        self.encode_with(format, kernel, api, process::read())
    }

    /// The same with what is said of the process.
    pub(super) fn encode_with(
        &self,
        format: Format,
        kernel: Option<KernelSnapshot>,
        api: Option<ApiSnapshot>,
        process: Option<ProcessSnapshot>,
    ) -> String {
        format.write(Exposition { state: Arc::clone(&self.0), kernel, api, process })
    }
}

impl State {
    pub fn maps(&self) -> Maps {
        *locked(&self.maps)
    }

    pub fn watched(&self) -> Watched {
        locked(&self.watched).clone()
    }
}

/// kube-proxy's buckets, the first of which is zero: `MergeBuckets` of component-base begins with it.
fn programming() -> Histogram {
    Histogram::new(
        iter::once(0.0)
            .chain(linear_buckets(0.25, 0.25, 2))
            .chain(linear_buckets(1.0, 1.0, 59))
            .chain(linear_buckets(60.0, 5.0, 12))
            .chain(linear_buckets(120.0, 30.0, 7)),
    )
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
