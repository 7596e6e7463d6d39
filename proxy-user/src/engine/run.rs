//! The engine: takes events in, and programs what changed.

use super::{
    Rules, SyncReport, Unplaced,
    execute::{execute, wait_and_release},
    grow::Growing,
    health::HealthChecks,
};
use crate::{
    cluster::{Cluster, ServiceId},
    model::{Event, Family, PortId},
    select::{
        UsableEndpoint, cluster_ip, health_check_node_port, select_endpoints, select_flags, select_frontends,
        select_source_ranges, set_flags,
    },
    table::{
        Adopted, Conflict, Frontend, Full, Member, Plan, PortHandle, PortSpec, SourceRange, Table, Usage,
        WhenFull,
    },
    writer::{MapReader, WriteError, Writer},
};
use ahash::AHashMap;
use smallvec::SmallVec;
use smol_str::SmolStr;

/// Services that one plan covers: bounds the memory of the first fill, and leaves batches of
/// frontends large enough.
const SERVICES_PER_PLAN: usize = 512;

/// Keeps maps true to the events it was given. No I/O but through its writer.
#[derive(Debug)]
pub struct Engine<W> {
    pub(super) cluster: Cluster,
    pub(super) rules: Rules,
    pub(super) table: Table,
    pub(super) writer: W,
    /// What is programmed of each service, by [`ServiceId::index`].
    pub(super) programmed: Vec<Handles>,
    /// Service ports found in the maps at start and not asked for yet.
    pub(super) adopted: Adopted,
    /// The first complete list has been programmed.
    pub(super) synced: bool,
    /// And the kernel has taken it.
    pub(super) filled: bool,
    /// What the maps say of this node may be out of date.
    pub(super) node_changed: bool,
    /// The map that had no room for what is to be said of this node.
    pub(super) node_unplaced: Option<Full>,
    /// What was applied so far is known to be no complete list.
    pub(super) held: bool,
    /// Services whose adopted ports were left as they are while held.
    deferred: Vec<ServiceId>,
    /// Services with a port that does not fit.
    pub(super) waiting: AHashMap<ServiceId, Vec<Unplaced>>,
    /// Of those, the ones that kept endpoints they should lose: see [`WhenFull::Keep`].
    pub(super) kept: Vec<ServiceId>,
    /// Frontends or prefixes were deleted, or maps have grown, since those services were last tried.
    pub(super) made_room: bool,
    pub(super) growing: Growing,
    pub(super) health: HealthChecks,
    pub(super) plan: Plan,
    usable: Vec<UsableEndpoint>,
    members: Vec<Member>,
    frontends: Vec<Frontend>,
    source_ranges: Vec<SourceRange>,
}

/// The service ports of one Service.
pub(super) type Handles = SmallVec<[PortHandle; 4]>;

impl<W: Writer + MapReader> Engine<W> {
    /// An engine for the node `node_name` under an operator's rules, over maps that may hold what a former
    /// agent programmed. Traffic goes on as before until the first [`Self::sync`].
    ///
    /// # Errors
    /// Where the maps cannot be read, or the first grace period cannot be waited for.
    pub fn new(node_name: impl Into<SmolStr>, rules: Rules, writer: W) -> Result<Self, WriteError> {
        let mut plan = Plan::default();
        let (table, adopted) = Table::adopt(&writer, &mut plan)?;
        let growing = Growing::new(writer.capacities());
        let mut engine = Self {
            cluster: Cluster::new(node_name),
            rules,
            table,
            writer,
            programmed: Vec::new(),
            adopted,
            synced: false,
            filled: false,
            node_changed: true,
            node_unplaced: None,
            held: false,
            deferred: Vec::new(),
            waiting: AHashMap::new(),
            kept: Vec::new(),
            made_room: false,
            growing,
            health: HealthChecks::default(),
            plan,
            usable: Vec::new(),
            members: Vec::new(),
            frontends: Vec::new(),
            source_ranges: Vec::new(),
        };
        if !engine.adopted.is_empty() || !engine.plan.is_empty() {
            // The former agent may have freed what looks free now a moment before it ended.
            engine.writer.grace_period()?;
            execute(&mut engine.plan, &mut engine.table, &mut engine.writer, &mut SyncReport::default())?;
        }
        Ok(engine)
    }
}

impl<W: Writer> Engine<W> {
    /// Takes a change in. It is programmed by the next [`Self::sync`].
    pub fn apply(&mut self, event: Event) {
        self.node_changed |= !matches!(
            event,
            Event::ServiceApplied(_)
                | Event::ServiceDeleted(_)
                | Event::SliceApplied(_)
                | Event::SliceDeleted(_)
        );
        self.cluster.apply(event);
    }

    /// How many Services a former agent has left programmed, as long as nothing is known of them.
    #[must_use]
    pub fn adopted_services(&self) -> usize {
        let mut services: Vec<_> = self.adopted.keys().map(|port| &port.service).collect();
        services.sort_unstable();
        services.dedup();
        services.len()
    }

    /// While held, what was applied so far is no complete list, because a source could not read all
    /// that it should: of what a former agent left, service ports that nobody has named stay, and one
    /// that has no endpoint now keeps those it had. Without effect once a complete list was programmed.
    pub fn hold(&mut self, held: bool) {
        let before = std::mem::replace(&mut self.held, held && !self.synced);
        // What is said of the node leans on whether the list is complete.
        self.node_changed |= before && !self.held;
        if !self.held {
            std::mem::take(&mut self.deferred).into_iter().for_each(|id| self.cluster.mark_dirty(id));
        }
    }

    /// Programs what changed since the last call. The first call takes what was applied so far as
    /// the complete list, unless [`Self::hold`] says otherwise: what the maps hold beyond it is removed.
    ///
    /// # Errors
    /// The first system call that failed. What was not carried out stays planned: call again.
    pub fn sync(&mut self) -> Result<SyncReport, WriteError> {
        let mut report = SyncReport::default();
        self.sync_once(&mut report)?;
        Ok(self.reported(report))
    }

    /// Does so once, and adds what it did to a report.
    pub(super) fn sync_once(&mut self, report: &mut SyncReport) -> Result<(), WriteError> {
        if std::mem::take(&mut self.node_changed) || self.node_unplaced.is_some() {
            self.plan_health_addresses();
            self.describe_node(report);
        }
        self.program(WhenFull::Keep, report)?;
        if self.synced && !std::mem::replace(&mut self.filled, true) {
            // Only now it is known which addresses of the ServiceCIDRs no Service has.
            self.describe_node(report);
            self.program(WhenFull::Keep, report)?;
        }
        // Entries that were freed are worth a grace period only to those who wait for room.
        while let Some(retry) = self.next_retry() {
            if self.table.wants_grace() {
                wait_and_release(&mut self.plan, &mut self.table, &mut self.writer, report)?;
            }
            self.made_room = false;
            retry.into_iter().for_each(|id| self.cluster.mark_dirty(id));
            self.program(WhenFull::Reduce, report)?;
        }
        Ok(())
    }

    /// Plans what the maps say of this node, and reports a map that has no room for it, unless that was said before.
    fn describe_node(&mut self, report: &mut SyncReport) {
        let unplaced = self.plan_node().err();
        if unplaced != self.node_unplaced {
            report.node_unplaced = unplaced;
            self.node_unplaced = unplaced;
        }
    }

    /// Frees what waits for a grace period, so that the maps hold nothing that is not in use.
    ///
    /// # Errors
    /// Where the grace period cannot be waited for.
    pub fn settle(&mut self) -> Result<(), WriteError> {
        if self.table.wants_grace() {
            let mut report = SyncReport::default();
            wait_and_release(&mut self.plan, &mut self.table, &mut self.writer, &mut report)?;
            // Whoever waits for room is tried by the next sync.
            self.made_room = true;
        }
        Ok(())
    }

    /// True once a complete list has been programmed.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.synced
    }

    /// True if [`Self::sync`] has something to do.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        (!self.synced && !self.held) || self.cluster.pending() > 0 || self.table.is_unsettled()
    }

    /// Service ports that do not fit, by identity.
    #[must_use]
    pub fn unplaced(&self) -> Vec<Unplaced> {
        let mut unplaced: Vec<_> = self.waiting.values().flatten().cloned().collect();
        unplaced.sort_unstable();
        unplaced
    }

    /// Frontends that more than one Service claims.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.table.conflicts()
    }

    /// Entries in use.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.table.usage()
    }

    /// The cluster as it was reported.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The maps.
    pub const fn writer(&self) -> &W {
        &self.writer
    }

    /// The maps, to say in them what is no part of a plan.
    pub const fn writer_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// Services that wait for room and should be tried again now: all of them if room was made since,
    /// else those that kept endpoints they should lose because the others did not fit beside them.
    fn next_retry(&mut self) -> Option<Vec<ServiceId>> {
        let kept = std::mem::take(&mut self.kept);
        let room = self.made_room || self.table.wants_grace();
        let mut retry = if room { self.waiting.keys().copied().collect() } else { kept };
        retry.sort_unstable();
        Some(retry).filter(|retry| !retry.is_empty())
    }

    fn program(&mut self, when_full: WhenFull, report: &mut SyncReport) -> Result<(), WriteError> {
        loop {
            for _ in 0..SERVICES_PER_PLAN {
                let Some(id) = self.cluster.next_dirty() else { break };
                self.plan_service(id, when_full, report);
                report.services += 1;
            }
            if self.cluster.pending() == 0 && !self.held && !std::mem::replace(&mut self.synced, true) {
                for (_, handle) in std::mem::take(&mut self.adopted) {
                    self.table.remove(handle);
                }
                self.table.drop_unclaimed();
            }
            self.table.settle(self.cluster.pending() == 0, &mut self.plan);
            let before = report.deletes;
            let removes_prefixes = !self.plan.prefix_deletes.is_empty();
            let outcome = execute(&mut self.plan, &mut self.table, &mut self.writer, report);
            self.made_room |= report.deletes > before || removes_prefixes;
            outcome?;
            if self.cluster.pending() == 0 {
                return Ok(());
            }
        }
    }

    /// Plans what makes the maps true to one service.
    fn plan_service(&mut self, id: ServiceId, when_full: WhenFull, report: &mut SyncReport) {
        if self.programmed.len() <= id.index() {
            self.programmed.resize_with(id.index() + 1, Handles::new);
        }
        let before = std::mem::take(&mut self.programmed[id.index()]);
        let waited = if self.waiting.is_empty() { None } else { self.waiting.remove(&id) };
        let (programmed, unplaced) = self.plan_ports(id, &before, when_full);
        self.plan_health_check(id, &programmed, &unplaced);
        let waited = waited.unwrap_or_default();
        let known = |port: &PortId| waited.iter().any(|w| w.port == *port);
        report.newly_unplaced.extend(unplaced.iter().filter(|u| !known(&u.port)).cloned());
        let placed = |w: &&Unplaced| {
            programmed.iter().any(|handle| self.table.id(*handle) == Some(&w.port))
                && !unplaced.iter().any(|u| u.port == w.port)
        };
        report.newly_placed.extend(waited.iter().filter(placed).map(|w| w.port.clone()));
        for gone in before.into_iter().filter(|handle| !programmed.contains(handle)) {
            self.table.remove(gone);
        }
        if !unplaced.is_empty() {
            if when_full == WhenFull::Keep {
                self.kept.push(id);
            }
            self.waiting.insert(id, unplaced);
        }
        if !programmed.is_empty() || !self.cluster.forget(id) {
            self.programmed[id.index()] = programmed;
        }
    }

    /// Upserts every service port that the service has by now; gives back those that are
    /// programmed, wholly or in part, and what does not fit.
    fn plan_ports(
        &mut self,
        id: ServiceId,
        before: &[PortHandle],
        when_full: WhenFull,
    ) -> (Handles, Vec<Unplaced>) {
        let (mut programmed, mut unplaced) = (Handles::new(), Vec::new());
        let known = self.cluster.service(id);
        let Some((known, service)) = known.and_then(|known| Some((known, known.service.as_ref()?))) else {
            return (programmed, unplaced);
        };
        let primary = |family| self.cluster.node().and_then(|node| node.primary(family));
        for family in Family::BOTH {
            let Some(address) = cluster_ip(service, family) else { continue };
            for port in &service.ports {
                let (name, protocol) = (service.name.clone(), port.protocol);
                let port_id = PortId { service: name, port: port.name.clone(), protocol, family };
                let (cluster, local) = select_endpoints(
                    port,
                    family,
                    self.cluster.slices(known),
                    self.cluster.hints(),
                    &mut self.usable,
                    &mut self.members,
                );
                if self.held && self.members.is_empty() && self.adopted.contains_key(&port_id) {
                    self.deferred.push(id);
                    continue;
                }
                let mut known_ports = before.iter().chain(&programmed).copied();
                let handle = known_ports.find(|handle| self.table.id(*handle) == Some(&port_id));
                let handle = handle.or_else(|| self.adopted.remove(&port_id));
                let rules = self.rules.frontends();
                select_frontends(service, port, address, rules, &mut self.frontends);
                select_source_ranges(service, family, primary(family), &mut self.source_ranges);
                let spec =
                    PortSpec {
                        id: &port_id,
                        created: service.created,
                        frontends: &self.frontends,
                        members: &self.members,
                        source_ranges: &self.source_ranges,
                        health_check_node_port: health_check_node_port(service).unwrap_or(0),
                        affinity_seconds: service.affinity_seconds.unwrap_or(0),
                        flags: select_flags(service, rules, &self.members, &self.source_ranges)
                            .union(set_flags(cluster, local, &self.members)),
                    };
                match self.table.upsert(handle, &spec, when_full, &mut self.plan) {
                    Ok(handle) => programmed.push(handle),
                    Err(full) => {
                        programmed.extend(handle);
                        unplaced.push(Unplaced { port: port_id, full });
                    }
                }
            }
        }
        (programmed, unplaced)
    }
}
