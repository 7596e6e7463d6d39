//! A node's dataplane.

use super::{DataplaneError, DeviceReport, Options, agent, devices::Devices};
use crate::{
    engine::{Engine, Remembered, Rules, SyncReport, Unplaced},
    kernel::{
        Closed, Collected, Collector, Kernel, KernelError, KernelMaps, Programs, RememberedCount,
        close_stale_sockets, watchman::Round,
    },
    model::{EndpointSlice, Event, Node, ObjectName, Service},
    table::Conflict,
    view::{PortView, decode},
    writer::Capacities,
};
use proxy_common::abi::{Counter, DeviceEntry, PacketSettings};
use rustix::time::{ClockId, clock_gettime};
use smol_str::SmolStr;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Balances a node's connections to Services while it is told what the cluster holds.
///
/// Changes are taken in by the methods named after them and programmed by [`Self::sync`]; objects
/// may come in any order, endpoints before their Service too. Dropping it leaves the kernel as it
/// is: connections go on being balanced, and the next dataplane at the same pin path takes over.
#[derive(Debug)]
pub struct Dataplane {
    engine: Engine<KernelMaps>,
    programs: Programs,
    devices: Devices,
    collector: Collector,
    count: RememberedCount,
    /// No other version of Shunt serves beside this one.
    alone: bool,
}

impl Dataplane {
    /// Opens the dataplane of the node `node`, under an operator's rules: takes over what a former one has pinned, or makes it,
    /// and attaches the programs.
    ///
    /// # Errors
    /// [`DataplaneError::is_environment`] where the machine lacks something; else of the call.
    pub fn open(node: impl Into<SmolStr>, rules: Rules, options: &Options) -> Result<Self, DataplaneError> {
        let (mut maps, mut programs) = Kernel::open(options)?.split();
        maps.set_agent(&agent::started(options.limits.together()));
        let mut engine = Engine::new(node, rules, maps)?;
        engine.limit(options.limits);
        programs.attach()?;
        Ok(Self {
            engine,
            programs,
            devices: Devices::default(),
            collector: Collector::default(),
            count: RememberedCount::default(),
            alone: false,
        })
    }

    /// Adds or replaces a Service.
    pub fn upsert_service(&mut self, service: Service) {
        self.apply(Event::ServiceApplied(service));
    }

    /// Removes a Service; one that is not known is no error.
    pub fn delete_service(&mut self, name: ObjectName) {
        self.apply(Event::ServiceDeleted(name));
    }

    /// Adds or replaces a set of endpoints; a Service may have any number of sets.
    pub fn upsert_endpoints(&mut self, slice: EndpointSlice) {
        self.apply(Event::SliceApplied(slice));
    }

    /// Removes a set of endpoints by its own name.
    pub fn delete_endpoints(&mut self, name: ObjectName) {
        self.apply(Event::SliceDeleted(name));
    }

    /// Tells about a node; only this one's matters.
    pub fn upsert_node(&mut self, node: Node) {
        self.apply(Event::NodeApplied(node));
    }

    /// Takes a change in, as a source reports it.
    pub fn apply(&mut self, event: Event) {
        self.engine.apply(event);
    }

    /// How many Services a former agent has left programmed, as long as nothing is known of them: they are served meanwhile.
    #[must_use]
    pub fn adopted_services(&self) -> usize {
        self.engine.adopted_services()
    }

    /// While held, what was told so far is known to be incomplete: see [`Engine::hold`].
    pub fn hold(&mut self, held: bool) {
        self.engine.hold(held);
    }

    /// Programs what changed since the last call; seen by the next connect(). The first call takes
    /// what was told so far as complete: services that a former agent left and nobody named since
    /// are removed.
    ///
    /// # Errors
    /// The first system call that failed. The rest stays planned: call again.
    pub fn sync(&mut self) -> Result<SyncReport, DataplaneError> {
        let programs = &mut self.programs;
        let report = self.engine.sync_growing(|maps, sizes| enlarge(programs, maps, sizes))?;
        self.tell(&report);
        if !self.alone && self.engine.is_complete() {
            if let Err(error) = self.programs.remove_other_versions() {
                self.engine.unheard(report.health);
                return Err(error.into());
            }
            self.alone = true;
        }
        Ok(report)
    }

    /// Takes the maps over anew and writes what differs from what was told: a repair, where another program has written
    /// to them. See [`Engine::audit`].
    ///
    /// # Errors
    /// The first system call that failed. The rest stays planned: [`Self::sync`] goes on with it.
    pub fn audit(&mut self) -> Result<Option<SyncReport>, DataplaneError> {
        let report = self.engine.audit()?;
        report.iter().for_each(|report| self.tell(report));
        Ok(report)
    }

    /// Says in AGENT what was done.
    fn tell(&mut self, report: &SyncReport) {
        let entry = agent::synced(self.engine.writer().agent(), report, self.engine.is_complete());
        self.engine.writer_mut().set_agent(&entry);
    }

    /// Makes the maps hold at least so much, without a gap: see [`Programs::grow`]. Returns what they hold.
    ///
    /// # Errors
    /// Of the step that failed; the maps may be larger all the same.
    pub fn grow(&mut self, wanted: &Capacities) -> Result<Capacities, DataplaneError> {
        let grown = self.programs.grow(self.engine.writer_mut(), wanted);
        self.engine.grown();
        Ok(grown?)
    }

    /// Waits for a grace period (some milliseconds) and gives back what was freed. [`Self::sync`] does
    /// so itself when room runs out; at leisure it costs nobody.
    ///
    /// # Errors
    /// Where the grace period cannot be waited for.
    pub fn settle(&mut self) -> Result<(), DataplaneError> {
        Ok(self.engine.settle()?)
    }

    /// Closes connected UDP sockets, in all network namespaces, whose backend was removed or can serve no
    /// more: call it a moment after each sync, and after the first one. See [`close_stale_sockets`].
    ///
    /// # Errors
    /// As there; [`DataplaneError::is_environment`] where the kernel cannot do it at all.
    pub fn close_stale_sockets(&self) -> Result<Closed, DataplaneError> {
        Ok(close_stale_sockets(self.engine.writer())?)
    }

    /// True if [`Self::sync`] has something to do.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.engine.is_pending()
    }

    /// Attaches what is not attached: a repair, where another program has detached ours.
    ///
    /// # Errors
    /// Of the attachment that failed.
    pub fn attach(&mut self) -> Result<(), DataplaneError> {
        self.programs.attach()?;
        Ok(())
    }

    /// Looks whether all that this process attached and pinned is still so, restores what is not, and says what else is
    /// in the way: see [`Programs::watch`]. Call it every few seconds.
    pub fn watch(&mut self) -> Round {
        self.programs.watch(&self.devices.kept())
    }

    /// Attaches the packet programs to these devices, by index in the calling thread's network namespace, and to no
    /// others: traffic that crosses them is translated from then on, also without this process. What is attached
    /// already stays so, or is replaced in place; the smallest set of changes is made.
    /// [`select_devices`](crate::select::select_devices) makes the usual choice.
    ///
    /// # Errors
    /// Where it cannot be found out what is attached. Devices that are refused are in the report; call again.
    pub fn set_devices(
        &mut self,
        devices: &BTreeMap<u32, DeviceEntry>,
    ) -> Result<DeviceReport, DataplaneError> {
        Ok(self.devices.set(self.programs.packets(), devices)?)
    }

    /// Says how the packet programs work, from the next packet on. At first, and without source ports, no flow is
    /// sent on in the node's name.
    pub fn set_packets(&mut self, settings: &PacketSettings) {
        self.programs.packets().set_settings(settings);
    }

    /// How the packet programs work now; before [`Self::set_packets`], as a former agent had them.
    #[must_use]
    pub fn packets(&mut self) -> PacketSettings {
        self.programs.packets().settings()
    }

    /// Forgets flows of packets that have been silent for too long: some of them with each call, until
    /// [`Collected::finished`]. A round every 15 seconds or so keeps room for new flows; without any the least recently
    /// used ones make room.
    ///
    /// # Errors
    /// Of the call that failed; the next call begins a new round.
    pub fn collect_flows(&mut self) -> Result<Collected, DataplaneError> {
        // The clock of bpf_ktime_get_ns, by which the programs note when a packet was seen.
        let now = clock_gettime(ClockId::Monotonic).tv_sec as u32;
        Ok(self.engine.writer().collect_flows(&mut self.collector, now)?)
    }

    /// Counts the entries of the maps that programs write, but for FLOWS: some of them with each call. The result comes
    /// with the last part.
    ///
    /// # Errors
    /// Of the call that failed; the next one begins again.
    pub fn count_remembered(&mut self) -> Result<Option<Remembered>, DataplaneError> {
        let now = clock_gettime(ClockId::Monotonic);
        let now = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        Ok(self.engine.writer().count_remembered(&mut self.count, now)?)
    }

    /// Has the maps grow that programs write, where more than 80 % of one is in use; true if they have. At leisure, and
    /// with a pause between two calls: who floods the node with connections must not have it do nothing else. The next
    /// [`Self::sync`] reports it.
    pub fn grow_remembered(&mut self, used: &Remembered) -> bool {
        let programs = &mut self.programs;
        self.engine.grow_remembered(used, |maps, sizes| enlarge(programs, maps, sizes))
    }

    /// Tries growth again that failed, with the next [`Self::sync`]; true if one had failed.
    pub const fn allow_growth(&mut self) -> bool {
        let was_barred = self.engine.is_growth_barred();
        self.engine.allow_growth();
        was_barred
    }

    /// Service ports that do not fit into the maps. They are tried again whenever room appears.
    #[must_use]
    pub fn unplaced(&self) -> Vec<Unplaced> {
        self.engine.unplaced()
    }

    /// Frontends that more than one Service claims.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.engine.conflicts()
    }

    /// What the kernel holds, decoded.
    ///
    /// # Errors
    /// Where the frontends cannot be read.
    pub fn dump(&self) -> Result<Vec<PortView>, DataplaneError> {
        Ok(decode(self.engine.writer())?)
    }

    /// Totals of one counter since the maps were made, over all CPUs.
    ///
    /// # Errors
    /// Where the map cannot be read.
    pub fn counter(&self, counter: Counter) -> Result<u64, DataplaneError> {
        Ok(self.engine.writer().counters()?[counter as usize])
    }

    /// The engine, to look into: its usage, and the memory of its maps.
    #[must_use]
    pub const fn engine(&self) -> &Engine<KernelMaps> {
        &self.engine
    }
}

/// Has the kernel's maps grow; says how long it took.
fn enlarge(
    programs: &mut Programs,
    maps: &mut KernelMaps,
    sizes: &Capacities,
) -> Result<Duration, KernelError> {
    let start = Instant::now();
    programs.grow(maps, sizes)?;
    Ok(start.elapsed())
}
