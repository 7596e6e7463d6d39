//! From what the agent is told to the kernel, and from what came of it to everybody who asks.

use super::{
    Incoming, OwnNode, Packets, Teller, collect::FlowCollection, stale::StaleSockets,
};
use crate::{
    cli::problems,
    dataplane::Dataplane,
    engine::{Rules, SyncReport},
    recorder::{Notice, Reason},
    server::{HealthCheckServers, ProxyHealth},
    table::Conflict,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// First wait before a failed sync is tried again; doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest wait before a failed sync is tried again.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// After so long without a change, what was freed is given back: at leisure, before anybody needs it.
const IDLE: Duration = Duration::from_secs(1);

/// Looking for Services that claim one frontend means looking at all of them: at leisure too, but where
/// changes never end, every so often.
const CONFLICTS: Duration = Duration::from_secs(10);

/// Keeps the dataplane true to what it is told.
pub struct Agent {
    dataplane: Dataplane,
    health: Arc<ProxyHealth>,
    health_checks: HealthCheckServers,
    teller: Teller,
    rules: Rules,
    own_node: OwnNode,
    /// What was told was programmed once.
    ready: bool,
    /// The next wait after a failure.
    retry: Duration,
    /// What it does if no change comes first.
    next: Next,
    /// Frontends that more than one Service claims, as they were told.
    conflicts: Vec<Conflict>,
    /// When they were looked for.
    looked: Instant,
    stale: StaleSockets,
    packets: Packets,
    flows: FlowCollection,
}

/// What the agent does if no change comes first. A moment, not a wait: what else it does meanwhile must not put
/// it off.
#[derive(Clone, Copy)]
enum Next {
    /// The kernel refused something: try again then.
    Retry(Instant),
    /// Give back what was freed, if nothing changes until then.
    Settle(Instant),
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
    /// Whom it tells what an operator must know.
    pub teller: Teller,
    /// What the operator has decided.
    pub rules: Rules,
    /// This node, as the operator names it.
    pub own_node: OwnNode,
    /// The packet path.
    pub packets: Packets,
}

impl Agent {
    /// An agent that has been told nothing yet.
    pub fn new(parts: Parts) -> Self {
        let Parts { mut dataplane, health, health_checks, teller, rules, own_node, packets } = parts;
        own_node.first().into_iter().for_each(|event| dataplane.apply(event));
        Self {
            dataplane,
            health,
            health_checks,
            teller,
            rules,
            own_node,
            ready: false,
            retry: RETRY_MIN,
            next: Next::Nothing,
            conflicts: Vec::new(),
            looked: Instant::now(),
            stale: StaleSockets::default(),
            packets,
            flows: FlowCollection::new(Instant::now()),
        }
    }

    /// Waits until something of its own is due, and does it.
    pub async fn work(&mut self) {
        let (retry, settle) = match self.next {
            Next::Retry(at) => (Some(at), None),
            Next::Settle(at) => (None, Some(at)),
            Next::Nothing => (None, None),
        };
        let refused = self.packets.due();
        tokio::select! {
            devices = self.packets.changed() => self.packets.take(devices, &mut self.dataplane),
            () = until(Some(self.flows.due())) => self.flows.step(&mut self.dataplane),
            () = until(refused) => self.packets.attach(&mut self.dataplane),
            () = until(self.stale.due()) => self.stale.close(&self.dataplane, Instant::now()),
            () = until(retry) => self.program(Incoming::default()),
            () = until(settle) => self.settle(),
        }
    }

    /// Nothing has changed for a while.
    fn settle(&mut self) {
        self.next = Next::Nothing;
        if let Err(error) = self.dataplane.settle() {
            tracing::warn!("{error}; what was freed waits until somebody needs the room");
        }
        self.look_for_conflicts();
    }

    /// Names each frontend that more than one Service claims, once.
    fn look_for_conflicts(&mut self) {
        let mut found = self.dataplane.conflicts();
        found.retain(problems::is_conflict);
        self.teller.conflicts(found.iter().filter(|conflict| !self.conflicts.contains(conflict)));
        (self.conflicts, self.looked) = (found, Instant::now());
    }

    /// Takes changes in, and programs them unless more of the first lists is to come.
    pub fn program(&mut self, incoming: Incoming) {
        let start = Instant::now();
        self.teller.record(incoming.notices);
        if let Some(complete) = incoming.complete {
            self.dataplane.hold(!complete);
            if !self.ready && !complete {
                tracing::warn!(
                    "not all manifests could be read: what a former agent left stays until they can"
                );
            }
        }
        let events = incoming.events.len();
        for event in incoming.events {
            self.dataplane.apply(self.own_node.amend(event));
        }
        if incoming.unfinished {
            return;
        }
        self.health.queued(start);
        let synced = self.dataplane.sync();
        // A sync that failed may have removed backends before it did.
        if !self.ready || synced.as_ref().map_or(true, |report| report.stores > 0) {
            self.stale.synced(Instant::now());
        }
        match synced {
            Ok(report) => self.synced(report, events, start),
            Err(error) => {
                let wait = self.retry;
                self.retry = (wait * 2).min(RETRY_MAX);
                tracing::error!("{error}; what is programmed stays, and the rest is tried again in {wait:?}");
                self.next = Next::Retry(Instant::now() + wait);
            }
        }
    }

    /// The kernel has all that was told.
    fn synced(&mut self, report: SyncReport, events: usize, start: Instant) {
        self.retry = RETRY_MIN;
        self.health.applied();
        self.packets.synced(&mut self.dataplane);
        self.teller.room(&report);
        let took = start.elapsed();
        let (services, stores) = (report.services, report.stores);
        let frontends = report.puts + report.deletes;
        if !std::mem::replace(&mut self.ready, true) {
            problems::log_missing_node(self.dataplane.engine().cluster(), &self.rules);
            let ready = "ready: connections to Services are balanced";
            tracing::info!(services, stores, frontends, ?took, "{ready}");
            self.teller.record([Notice::node(Reason::Starting, ready)]);
        } else if events + services + stores + frontends > 0 {
            tracing::info!(events, services, stores, frontends, ?took, "applied changes");
        }
        self.health_checks.follow(report.health);
        if self.looked.elapsed() > CONFLICTS {
            self.look_for_conflicts();
        }
        self.next = Next::Settle(Instant::now() + IDLE);
    }
}

/// Waits until a moment, or for ever.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
