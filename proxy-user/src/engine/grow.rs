//! When maps are to hold more, and taking in that they do. Whoever has the maps makes them larger, in the kernel or in
//! memory; what is in them keeps its place.

use super::{Engine, SyncReport};
use crate::{
    cluster::KnownService,
    model::{Family, PortId},
    select::{cluster_ip, select_frontends, select_source_ranges},
    table::{Demand, PortSpec},
    writer::{Capacities, Limits, MapReader, Size, WriteError, Writer},
};
use proxy_common::abi::{Scope, ServiceFlags};
use smallvec::SmallVec;
use std::{collections::BTreeSet, fmt::Display, time::Duration};

/// A map that is fuller than this is to grow, percent.
const FULL: u64 = 80;

/// Where one grows, those that are fuller than this grow with it, percent: a growth costs the same for one map or for
/// all, and theirs would come soon.
const HALF_FULL: u64 = 50;

/// Growths that one sync may take: each is by an eighth at least, and most double a map.
const GROWTHS: usize = 64;

/// Maps were made anew with room for more, and filled from those that they replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Growth {
    /// Sizes before.
    pub before: Capacities,
    /// Sizes now.
    pub after: Capacities,
    /// How long it took.
    pub took: Duration,
}

/// Entries in use of the maps that programs write, as far as they were counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Remembered {
    /// Of UDP_FLOWS.
    pub udp_flows: Option<u32>,
    /// Of REVERSE.
    pub reverse: Option<u32>,
    /// Of AFFINITY, those that have not run out.
    pub affinities: Option<u32>,
    /// Of FLOWS.
    pub flows: Option<u32>,
}

/// What is known of the maps' sizes.
#[derive(Debug)]
pub(super) struct Growing {
    /// `None`: maps keep the sizes that they have.
    pub limits: Option<Limits>,
    now: Capacities,
    /// The last growth failed; no other is asked for until [`Engine::allow_growth`].
    barred: bool,
    /// What no report has told yet.
    done: Vec<Growth>,
    failed: Option<String>,
}

impl Growing {
    pub const fn new(now: Capacities) -> Self {
        Self { limits: None, now, barred: false, done: Vec::new(), failed: None }
    }
}

impl<W: Writer + MapReader> Engine<W> {
    /// Programs what changed, as [`Engine::sync`] does, and has the maps grow where they are too small for it: before
    /// the first write by what the cluster holds in all, else when one of them passes 80 %, or refuses something.
    /// What finds room so is never reported as unplaced. `grow` makes maps of at least these sizes, filled from the
    /// present ones, and says how long it took; where it fails, the present ones go on.
    ///
    /// # Errors
    /// As of [`Engine::sync`]. A growth that failed is in the report.
    pub fn sync_growing<E: Display>(
        &mut self,
        mut grow: impl FnMut(&mut W, &Capacities) -> Result<Duration, E>,
    ) -> Result<SyncReport, WriteError> {
        let mut report = SyncReport::default();
        self.grow_as_wanted(&mut grow);
        for _ in 0..GROWTHS {
            self.sync_once(&mut report)?;
            if !self.grow_as_wanted(&mut grow) || !self.waits_for_room() {
                break;
            }
        }
        Ok(self.reported(report))
    }

    /// Has the maps grow that programs write, as far as `used` asks for it.
    pub fn grow_remembered<E: Display>(
        &mut self,
        used: &Remembered,
        mut grow: impl FnMut(&mut W, &Capacities) -> Result<Duration, E>,
    ) -> bool {
        let wanted = self.wanted_remembered(used);
        wanted.is_some_and(|wanted| self.grow(&wanted, &mut grow))
    }

    /// Takes in that the maps have other sizes now: who waits for room is tried by the next sync.
    pub fn grown(&mut self) {
        let now = self.writer().capacities();
        if now != self.growing.now {
            self.growing.now = now;
            self.table.grow(&now);
            self.made_room = true;
        }
    }

    fn grow_as_wanted<E: Display>(
        &mut self,
        grow: &mut impl FnMut(&mut W, &Capacities) -> Result<Duration, E>,
    ) -> bool {
        self.wanted().is_some_and(|wanted| self.grow(&wanted, grow))
    }

    /// True if the maps hold more now.
    fn grow<E: Display>(
        &mut self,
        wanted: &Capacities,
        grow: &mut impl FnMut(&mut W, &Capacities) -> Result<Duration, E>,
    ) -> bool {
        let before = self.growing.now;
        let outcome = grow(&mut self.writer, wanted);
        // Whatever was said: what is there counts.
        self.grown();
        let after = self.growing.now;
        let took = match outcome {
            Ok(took) => took,
            Err(error) => {
                self.growing.failed = Some(error.to_string());
                self.growing.barred = true;
                Duration::ZERO
            }
        };
        // Asked again at once, it would do the same.
        self.growing.barred |= after == before;
        if after != before {
            self.growing.done.push(Growth { before, after, took });
        }
        after != before
    }
}

impl<W: Writer> Engine<W> {
    /// From now on maps may grow, within these limits. Without, they keep the sizes that they have.
    pub const fn limit(&mut self, limits: Limits) {
        self.growing.limits = Some(limits);
    }

    /// What bounds the growth of maps, if they grow at all.
    #[must_use]
    pub const fn limits(&self) -> Option<&Limits> {
        self.growing.limits.as_ref()
    }

    /// True if the last growth failed: none is tried until [`Self::allow_growth`].
    #[must_use]
    pub const fn is_growth_barred(&self) -> bool {
        self.growing.barred
    }

    /// Tries growth again that failed: the next sync asks for it.
    pub const fn allow_growth(&mut self) {
        self.growing.barred = false;
    }

    /// The sizes that the maps should have; `None` while those they have will do, or where they may not grow.
    #[must_use]
    pub fn wanted(&self) -> Option<Capacities> {
        let limits = self.growing.limits.as_ref().filter(|_| !self.growing.barred)?;
        let (demand, refused, now) = (self.demand(), self.refused(), &self.growing.now);
        let sizes = |full: u64| {
            let mut wanted = *now;
            for size in Size::all() {
                let has = now.get(size);
                let entries = match limits.fixed.get(size) {
                    Some(chosen) => chosen,
                    None if refused.contains(&size) => larger(size, has, demand.of(size)),
                    None if is_fuller(has, demand.of(size), full) => larger(size, has, demand.of(size)),
                    None => has,
                };
                wanted.set(size, entries.max(has));
            }
            wanted
        };
        let wanted = sizes(FULL);
        if wanted == *now {
            return None;
        }
        let together = sizes(HALF_FULL);
        let is_whole = |given: &Capacities| *given == together;
        limits.within(now, &together).filter(is_whole).or_else(|| limits.within(now, &wanted))
    }

    /// The same of the maps that programs write, by how full they are. They take a bounded share of the limit: who
    /// floods the node with connections must not take the room of Services.
    #[must_use]
    pub fn wanted_remembered(&self, used: &Remembered) -> Option<Capacities> {
        let limits = self.growing.limits.as_ref().filter(|_| !self.growing.barred)?;
        let now = &self.growing.now;
        let mut wanted = *now;
        let counted = [
            (Size::Sockets, used.udp_flows.max(used.reverse)),
            (Size::Affinities, used.affinities),
            (Size::Flows, used.flows),
        ];
        for (size, used) in counted.into_iter().filter(|(size, _)| limits.fixed.get(*size).is_none()) {
            let (has, used) = (now.get(size), used.unwrap_or(0));
            if is_fuller(has, used, FULL) {
                wanted.set(size, larger(size, has, used));
            }
        }
        (wanted != *now).then(|| limits.within_share(now, &wanted)).flatten()
    }

    /// What the last sync could not place, wholly or in part.
    pub(super) fn waits_for_room(&self) -> bool {
        !self.waiting.is_empty() || self.node_unplaced.is_some()
    }

    /// A report to be given away: only what is still true, and what was not told yet.
    pub(super) fn reported(&mut self, mut report: SyncReport) -> SyncReport {
        // What found room after all was never worth a report, and what did not may lack another map by now.
        let waiting: ahash::AHashMap<_, _> =
            self.waiting.values().flatten().map(|unplaced| (&unplaced.port, unplaced)).collect();
        let (new, found): (Vec<_>, Vec<_>) = std::mem::take(&mut report.newly_unplaced)
            .into_iter()
            .partition(|new| waiting.contains_key(&new.port));
        let found: ahash::AHashSet<_> = found.into_iter().map(|found| found.port).collect();
        report.newly_unplaced =
            new.iter().filter_map(|new| waiting.get(&new.port)).map(|now| (*now).clone()).collect();
        report.newly_placed.retain(|port| !found.contains(port));
        report.health = self.health.committed();
        report.growths = std::mem::take(&mut self.growing.done);
        report.growth_failed = self.growing.failed.take();
        report.fixed = self.growing.limits.map(|limits| limits.fixed);
        report
    }

    /// The sizes of maps that had no room for something.
    fn refused(&self) -> BTreeSet<Size> {
        let waiting = self.waiting.values().flatten().map(|unplaced| unplaced.full);
        waiting.chain(self.node_unplaced).filter_map(|full| Size::of_map(full.map)).collect()
    }

    /// What is in the maps or about to be. Before the first list is programmed, that is all of the cluster; then what is
    /// there, and Services that are new or wait for room. A known Service that grows is met as it passes 80 %.
    fn demand(&self) -> Demand {
        let used = self.table.demand();
        let mut more = Demand::default();
        if !self.synced {
            self.cluster.services().for_each(|known| self.add_service(known, &mut more));
            return used.max(&more);
        }
        let is_new = |index: usize| self.programmed.get(index).is_none_or(SmallVec::is_empty);
        let new = self.cluster.dirty().filter(|id| is_new(id.index()));
        for known in new.chain(self.waiting.keys().copied()).filter_map(|id| self.cluster.service(id)) {
            self.add_service(known, &mut more);
        }
        used.plus(&more)
    }

    /// Adds what a Service takes at most, if all of its endpoints can be used.
    fn add_service(&self, known: &KnownService, demand: &mut Demand) {
        let Some(service) = &known.service else { return };
        let (mut frontends, mut source_ranges) = (Vec::new(), Vec::new());
        let endpoints = self.cluster.slices(known).endpoints();
        let rules = self.rules.frontends();
        for family in Family::BOTH {
            let Some(address) = cluster_ip(service, family) else { continue };
            let of_family = endpoints.iter().map(|listed| &listed.endpoint);
            let of_family = of_family.filter(|e| Family::of(&e.address.to_ip()) == family);
            let (mut count, mut local) = (0, 0);
            of_family.for_each(|endpoint| (count, local) = (count + 1, local + u32::from(endpoint.local)));
            let primary = self.cluster.node().and_then(|node| node.primary(family));
            select_source_ranges(service, family, primary, &mut source_ranges);
            for (place, port) in service.ports.iter().enumerate() {
                select_frontends(service, port, address, rules, &mut frontends);
                // All ports of a Service share one.
                frontends.retain(|frontend| place == 0 || frontend.key.scope() != Scope::Address as u8);
                let (name, protocol) = (service.name.clone(), port.protocol);
                let spec = PortSpec {
                    id: &PortId { service: name, port: port.name.clone(), protocol, family },
                    created: service.created,
                    frontends: &frontends,
                    members: &[],
                    source_ranges: &source_ranges,
                    health_check_node_port: 0,
                    affinity_seconds: 0,
                    flags: ServiceFlags::default(),
                };
                demand.add_port(&spec, count, local);
            }
        }
    }
}

/// Whether more than `full` percent of `has` entries are in use.
fn is_fuller(has: u32, used: u32, full: u64) -> bool {
    u64::from(used) * 100 > u64::from(has) * full
}

/// The next size of a map that has `has` entries where `needed` are in use or to come.
fn larger(size: Size, has: u32, needed: u32) -> u32 {
    let roomy = u32::try_from(u64::from(needed) * 100 / FULL + 1).unwrap_or(u32::MAX);
    size.rounded(roomy.max(has.saturating_mul(2)))
}
