//! The engine: takes events in, and programs what changed.

use super::{
    SyncReport, Unplaced,
    execute::{execute, wait_and_release},
};
use crate::{
    cluster::{Cluster, ServiceId},
    model::{Event, Family, PortId},
    select::{cluster_ip, select_endpoints, select_flags, select_frontends},
    table::{Adopted, Conflict, Frontend, Member, Plan, PortHandle, PortSpec, Table, Usage, node_text},
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
    cluster: Cluster,
    table: Table,
    writer: W,
    /// What is programmed of each service, by [`ServiceId::index`].
    programmed: Vec<Handles>,
    /// Service ports found in the maps at start and not asked for yet.
    adopted: Adopted,
    /// The first complete list has been programmed.
    synced: bool,
    /// What the maps say of this node may be out of date.
    node_changed: bool,
    /// Services with a port that does not fit.
    waiting: AHashMap<ServiceId, Vec<Unplaced>>,
    /// Frontends were deleted since those services were last tried.
    made_room: bool,
    plan: Plan,
    members: Vec<Member>,
    frontends: Vec<Frontend>,
}

/// The service ports of one Service.
type Handles = SmallVec<[PortHandle; 4]>;

impl<W: Writer + MapReader> Engine<W> {
    /// An engine for the node `node_name` over maps that may hold what a former agent programmed.
    /// Traffic goes on as before until the first [`Self::sync`].
    ///
    /// # Errors
    /// Where the maps cannot be read, or the first grace period cannot be waited for.
    pub fn new(node_name: impl Into<SmolStr>, writer: W) -> Result<Self, WriteError> {
        let mut plan = Plan::default();
        let (table, adopted) = Table::adopt(&writer, &mut plan)?;
        let mut engine = Self {
            cluster: Cluster::new(node_name),
            table,
            writer,
            programmed: Vec::new(),
            adopted,
            synced: false,
            node_changed: true,
            waiting: AHashMap::new(),
            made_room: false,
            plan,
            members: Vec::new(),
            frontends: Vec::new(),
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
        self.node_changed |= matches!(event, Event::NodeApplied(_) | Event::NodeDeleted(_));
        self.cluster.apply(event);
    }

    /// Programs what changed since the last call. The first call takes what was applied so far as
    /// the complete list: what the maps hold beyond it is removed.
    ///
    /// # Errors
    /// The first system call that failed. What was not carried out stays planned: call again.
    pub fn sync(&mut self) -> Result<SyncReport, WriteError> {
        let mut report = SyncReport::default();
        if std::mem::take(&mut self.node_changed) {
            let zone = self.cluster.node().and_then(|node| node.zone.as_deref());
            self.table.describe_node(node_text(self.cluster.node_name(), zone), &mut self.plan);
        }
        let outcome = self.program(&mut report);
        // Remembered beyond a sync that fails after its deletes.
        self.made_room |= report.deletes > 0;
        outcome?;
        // Entries that were freed are worth a grace period only to those who wait for room.
        let freed = self.table.wants_grace();
        if !self.waiting.is_empty() && (freed || self.made_room) {
            if freed {
                wait_and_release(&mut self.plan, &mut self.table, &mut self.writer, &mut report)?;
            }
            let mut waiting: Vec<_> = self.waiting.keys().copied().collect();
            waiting.sort_unstable();
            waiting.into_iter().for_each(|id| self.cluster.mark_dirty(id));
            let before = report.deletes;
            let outcome = self.program(&mut report);
            self.made_room = report.deletes > before;
            outcome?;
        } else {
            self.made_room = false;
        }
        // What found room in the second pass was never worth a report.
        report.newly_unplaced.retain(|new| self.waiting.values().flatten().any(|u| u == new));
        Ok(report)
    }

    /// Frees what waits for a grace period, so that the maps hold nothing that is not in use.
    ///
    /// # Errors
    /// Where the grace period cannot be waited for.
    pub fn settle(&mut self) -> Result<(), WriteError> {
        if self.table.wants_grace() {
            let mut report = SyncReport::default();
            wait_and_release(&mut self.plan, &mut self.table, &mut self.writer, &mut report)?;
        }
        Ok(())
    }

    /// True if [`Self::sync`] has something to do.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.synced || self.cluster.pending() > 0 || self.table.is_unsettled()
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

    /// The maps, to be changed beside the engine: for faults in tests.
    pub const fn writer_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    fn program(&mut self, report: &mut SyncReport) -> Result<(), WriteError> {
        loop {
            for _ in 0..SERVICES_PER_PLAN {
                let Some(id) = self.cluster.next_dirty() else { break };
                self.plan_service(id, report);
                report.services += 1;
            }
            if self.cluster.pending() == 0 && !std::mem::replace(&mut self.synced, true) {
                for (_, handle) in std::mem::take(&mut self.adopted) {
                    self.table.remove(handle);
                }
                self.table.drop_unclaimed();
            }
            self.table.settle(&mut self.plan);
            execute(&mut self.plan, &mut self.table, &mut self.writer, report)?;
            if self.cluster.pending() == 0 {
                return Ok(());
            }
        }
    }

    /// Plans what makes the maps true to one service.
    fn plan_service(&mut self, id: ServiceId, report: &mut SyncReport) {
        if self.programmed.len() <= id.index() {
            self.programmed.resize_with(id.index() + 1, Handles::new);
        }
        let before = std::mem::take(&mut self.programmed[id.index()]);
        let waited = if self.waiting.is_empty() { None } else { self.waiting.remove(&id) };
        let (programmed, unplaced) = self.plan_ports(id, &before);
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
            self.waiting.insert(id, unplaced);
        }
        if !programmed.is_empty() || !self.cluster.forget(id) {
            self.programmed[id.index()] = programmed;
        }
    }

    /// Upserts every service port that the service has by now; gives back those that are
    /// programmed, wholly or in part, and what does not fit.
    fn plan_ports(&mut self, id: ServiceId, before: &[PortHandle]) -> (Handles, Vec<Unplaced>) {
        let (mut programmed, mut unplaced) = (Handles::new(), Vec::new());
        let known = self.cluster.service(id);
        let Some((known, service)) = known.and_then(|known| Some((known, known.service.as_ref()?))) else {
            return (programmed, unplaced);
        };
        for family in Family::BOTH {
            let Some(address) = cluster_ip(service, family) else { continue };
            for port in &service.ports {
                let (name, protocol) = (service.name.clone(), port.protocol);
                let id = PortId { service: name, port: port.name.clone(), protocol, family };
                let mut known_ports = before.iter().chain(&programmed).copied();
                let handle = known_ports.find(|handle| self.table.id(*handle) == Some(&id));
                let handle = handle.or_else(|| self.adopted.remove(&id));
                select_frontends(port, address, &mut self.frontends);
                select_endpoints(port, family, self.cluster.slices(known), &mut self.members);
                let spec = PortSpec {
                    id: &id,
                    created: service.created,
                    frontends: &self.frontends,
                    members: &self.members,
                    affinity_seconds: service.affinity_seconds.unwrap_or(0),
                    flags: select_flags(service, &self.members),
                };
                match self.table.upsert(handle, &spec, &mut self.plan) {
                    Ok(handle) => programmed.push(handle),
                    Err(full) => {
                        programmed.extend(handle);
                        unplaced.push(Unplaced { port: id, full });
                    }
                }
            }
        }
        (programmed, unplaced)
    }
}
