//! From what the agent is told to the kernel, and from what came of it to everybody who asks.

use super::{
    Incoming, OwnNode, Packets, Teller,
    added::added,
    collect::FlowCollection,
    kube_proxy::KubeProxyWatch,
    room::RoomWatch,
    stale::StaleSockets,
    sync_log::{Applied, SyncLog},
    watchman::Watchman,
};
use crate::{
    cli::problems,
    dataplane::{Dataplane, DataplaneError},
    engine::{Rules, SyncReport},
    kernel::KernelError,
    recorder::{Notice, Reason},
    server::{HealthCheckServers, Metrics, ProxyHealth},
    table::Conflict,
    writer::MapReader as _,
};
use proxy_common::abi::PacketFlags;
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// First wait before a failed sync is tried again; doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest wait before a failed sync is tried again.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// After so long without a change, what is done at leisure is due: what was freed is given back before anybody needs
/// it, and Services that claim one frontend are looked for, which means looking at all of them.
const IDLE: Duration = Duration::from_secs(1);

/// Where changes never end, it is due every so often.
const BUSY: Duration = Duration::from_secs(10);

/// Keeps the dataplane true to what it is told.
pub struct Agent {
    dataplane: Dataplane,
    health: Arc<ProxyHealth>,
    health_checks: HealthCheckServers,
    metrics: Metrics,
    teller: Teller,
    rules: Rules,
    own_node: OwnNode,
    /// Whoever tells has told all once.
    listed: bool,
    /// That was programmed.
    ready: bool,
    /// There is a Node object to be expected.
    has_nodes: bool,
    /// The next wait after a failure.
    retry: Duration,
    /// What it does if no change comes first.
    next: Next,
    /// Frontends that more than one Service claims, as they were told.
    conflicts: Vec<Conflict>,
    /// When it has done what is done at leisure.
    rested: Instant,
    /// When the oldest change came that is not programmed yet.
    since: Option<Instant>,
    log: SyncLog,
    stale: StaleSockets,
    packets: Packets,
    flows: FlowCollection,
    room: RoomWatch,
    kube_proxy: KubeProxyWatch,
    watchman: Watchman,
    /// Why the agent may write no more.
    lost: Option<KernelError>,
}

/// What the agent does if no change comes first. A moment, not a wait: what else it does meanwhile must not put
/// it off.
#[derive(Clone, Copy)]
enum Next {
    /// The kernel refused something: try again then.
    Retry(Instant),
    /// Do what is done at leisure, if nothing changes until then.
    Rest(Instant),
    /// Wait for a change.
    Nothing,
}

/// What an agent works with.
pub struct Parts {
    /// Where it programs.
    pub dataplane: Dataplane,
    /// Who is told whether it keeps up.
    pub health: Arc<ProxyHealth>,
    /// Who answers load balancers.
    pub health_checks: HealthCheckServers,
    /// What it has done, for whoever asks.
    pub metrics: Metrics,
    /// Whom it tells what an operator must know.
    pub teller: Teller,
    /// What the operator has decided.
    pub rules: Rules,
    /// This node, as the operator names it.
    pub own_node: OwnNode,
    /// An API server is followed, which has a Node for each node.
    pub has_nodes: bool,
    /// The packet path.
    pub packets: Packets,
}

impl Agent {
    /// An agent that has been told nothing yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { mut dataplane, health, health_checks, metrics, teller, rules, mut own_node, .. } = parts;
        own_node.first().into_iter().for_each(|event| dataplane.apply(event));
        if let Some(limits) = dataplane.engine().limits() {
            metrics.limited(limits.together());
            if limits.chosen() > limits.memory {
                tracing::warn!(
                    "maps of the sizes that were chosen (--max-...) take {} KiB, more than all others may grow to ({} KiB, \
                     --map-memory), and beside it",
                    limits.chosen() / 1024,
                    limits.memory / 1024
                );
            }
        }
        let now = Instant::now();
        let handover = dataplane.packets().flags.contains(PacketFlags::LEAVE_UNKNOWN);
        let watchman = Watchman::start(parts.packets.follows(), now);
        let mut agent = Self {
            dataplane,
            health,
            health_checks,
            metrics,
            teller,
            rules,
            own_node,
            listed: false,
            ready: false,
            has_nodes: parts.has_nodes,
            retry: RETRY_MIN,
            next: Next::Nothing,
            conflicts: Vec::new(),
            rested: now,
            since: None,
            log: SyncLog::new(now),
            stale: StaleSockets::default(),
            packets: parts.packets,
            flows: FlowCollection::new(now),
            room: RoomWatch::new(now),
            kube_proxy: KubeProxyWatch::new(handover, now),
            watchman,
            lost: None,
        };
        // Before a packet is translated for the first time.
        agent.look_for_kube_proxy();
        agent
    }

    /// Waits until something of its own is due, and does it.
    pub async fn work(&mut self) {
        let (retry, rest) = match self.next {
            Next::Retry(at) => (Some(at), None),
            Next::Rest(at) => (None, Some(at)),
            Next::Nothing => (None, None),
        };
        let (refused, watch) = (self.packets.due(), self.watchman.due());
        tokio::select! {
            devices = self.packets.changed() => self.packets.take(devices, &mut self.dataplane),
            () = until(Some(self.flows.due())) => self.flows.step(&mut self.dataplane, &self.metrics),
            () = until(Some(watch)) => self.watch(),
            () = self.watchman.noticed() => {}
            () = until(Some(self.room.due())) => self.look_for_room(),
            () = until(Some(self.kube_proxy.due())) => self.look_for_kube_proxy(),
            () = until(refused) => self.packets.attach(&mut self.dataplane),
            () = until(self.stale.due()) => {
                self.stale.close(&self.dataplane, &self.metrics, Instant::now());
            }
            () = until(retry) => self.program(Incoming::default()),
            () = until(rest) => self.rest(),
        }
        // Devices come and go without a sync.
        self.metrics.devices_wanted(self.packets.wanted());
    }

    /// Looks whether all is still attached and pinned.
    fn watch(&mut self) {
        self.lost = self.watchman.look(&mut self.dataplane, &self.metrics, &self.teller).err();
    }

    /// Why the agent must end: somebody else writes to the maps.
    pub const fn lost(&mut self) -> Option<KernelError> {
        self.lost.take()
    }

    /// Nothing has changed for a while.
    fn rest(&mut self) {
        self.next = Next::Nothing;
        if let Some(rest) = self.log.rest() {
            rest.log();
        }
        self.tidy();
    }

    /// Gives back what was freed, and looks for conflicts.
    fn tidy(&mut self) {
        self.rested = Instant::now();
        if let Err(error) = self.dataplane.settle() {
            tracing::warn!("{error}; what was freed waits until somebody needs the room");
        }
        self.measure_room();
        self.look_for_conflicts();
    }

    /// Counts what the programs remember, and has their maps grow; tries again what could not grow before.
    fn look_for_room(&mut self) {
        if self.room.step(&mut self.dataplane, self.flows.entries(), &self.metrics) {
            self.program(Incoming::default());
        }
    }

    /// Looks for kube-proxy, whose connections are left to the kernel.
    fn look_for_kube_proxy(&mut self) {
        let leave = self.kube_proxy.look(&self.teller, Instant::now());
        self.packets.leave_unknown(leave, &mut self.dataplane);
    }

    /// Names each frontend that more than one Service claims, once.
    fn look_for_conflicts(&mut self) {
        let mut found = self.dataplane.conflicts();
        found.retain(problems::is_conflict);
        self.teller.conflicts(added(&self.conflicts, &found));
        self.metrics.conflicts(found.len());
        self.conflicts = found;
    }

    /// Takes changes in, and programs them once all was told.
    pub fn program(&mut self, incoming: Incoming) {
        let start = Instant::now();
        self.teller.record(incoming.notices);
        if let Some(complete) = incoming.complete {
            self.dataplane.hold(!complete);
        }
        let events = incoming.events.len();
        for event in incoming.events {
            self.metrics.changed(&event);
            self.dataplane.apply(self.own_node.amend(event));
        }
        for (family, at) in incoming.triggers {
            self.metrics.triggered(family, at);
        }
        self.listed |= incoming.listed;
        self.since = self.since.or(incoming.came);
        if !self.listed {
            return;
        }
        if self.has_nodes {
            self.health.node(self.own_node.eligibility());
        }
        self.health.queued(start);
        self.metrics.queued(SystemTime::now());
        let synced = self.dataplane.sync();
        // A sync that failed may have removed backends before it did.
        if !self.ready || synced.as_ref().map_or(true, |report| report.stores > 0) {
            self.stale.synced(Instant::now());
        }
        match synced {
            Ok(report) => self.synced(report, events, start),
            Err(error) => self.failed(&error, start),
        }
    }

    /// Compares the maps with what was told, since somebody asks for it, and mends what differs.
    pub fn audit(&mut self) {
        let start = Instant::now();
        match self.dataplane.audit() {
            Ok(None) => {
                tracing::warn!(
                    "SIGUSR2: nothing is known to compare the maps with before the first complete list"
                );
            }
            Ok(Some(report)) => {
                let writes = report.writes();
                self.metrics.audited(writes);
                if writes == 0 {
                    tracing::info!("SIGUSR2: the maps hold what they should");
                } else {
                    tracing::warn!(writes, "SIGUSR2: somebody else has written to the maps; they are mended");
                    self.stale.synced(start);
                }
                self.synced(report, 0, start);
            }
            Err(error) => self.failed(&error, start),
        }
    }

    /// The kernel has refused something.
    fn failed(&mut self, error: &DataplaneError, start: Instant) {
        self.metrics.sync_failed(start.elapsed(), !self.ready);
        let wait = self.retry;
        self.retry = (wait * 2).min(RETRY_MAX);
        let now = Instant::now();
        if let Some(failures) = self.log.failed(now) {
            let again = if failures > 1 { format!(" ({failures} times)") } else { String::new() };
            tracing::error!(
                "{error}{again}; what is programmed stays, and the rest is tried again in {wait:?}"
            );
        }
        self.next = Next::Retry(now + wait);
    }

    /// The kernel has all that was told.
    fn synced(&mut self, report: SyncReport, events: usize, start: Instant) {
        self.retry = RETRY_MIN;
        self.health.applied();
        self.packets.synced(&mut self.dataplane);
        self.teller.room(&report);
        let (now, took) = (Instant::now(), start.elapsed());
        self.measure(&report, took);
        // The first one waits for the lists: that is no age of a change.
        if let Some(since) = self.since.take().filter(|_| self.ready) {
            self.metrics.aged_change(now.saturating_duration_since(since));
        }
        let (services, stores) = (report.services, report.stores);
        let frontends = report.puts + report.deletes;
        if !std::mem::replace(&mut self.ready, true) {
            problems::log_missing_node(self.dataplane.engine().cluster(), &self.rules);
            let ready = "ready: connections to Services are balanced";
            tracing::info!(services, stores, frontends, ?took, "{ready}");
            self.health.ready();
            self.teller.record([Notice::node(Reason::Starting, ready)]);
        } else {
            let sync = Applied { syncs: 1, events, services, stores, frontends, took };
            if let Some(applied) = self.log.applied(sync, now) {
                applied.log();
            }
        }
        self.health_checks.follow(report.health);
        if now.saturating_duration_since(self.rested) > BUSY {
            self.tidy();
        }
        self.next = Next::Rest(now + IDLE);
    }

    /// Writes down what a sync has done.
    fn measure(&self, report: &SyncReport, took: Duration) {
        self.metrics.synced(report, took, !self.ready, SystemTime::now());
        self.measure_room();
        self.metrics.unplaced(self.dataplane.unplaced().len());
        self.metrics.devices_wanted(self.packets.wanted());
    }

    /// Writes down how full the maps are.
    fn measure_room(&self) {
        let engine = self.dataplane.engine();
        self.metrics.filled(engine.usage(), engine.writer().capacities());
    }
}

/// Waits until a moment, or for ever.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
