//! The pinned maps, open and mapped: what an agent adopts and what `shunt dump` and `shunt status`
//! read. Only a [`KernelMaps`](super::KernelMaps) writes to them.

use super::attach::{Attachment, attached};
use super::bpffs::PinDirs;
use super::cgroup::Cgroup;
use super::collector::{Collected, Collector};
use super::entries::{count, read_all};
use super::error::KernelError;
use super::layout;
use super::lock;
use super::object::{self, MapName};
use super::packets::{self, DeviceAttachment};
use super::remembered::RememberedCount;
use super::shape::MapShape;
use super::stats::{read_counters, read_stats};
use super::sys::{Access, MapFd};
use super::transition::instance::Instances;
use super::wire::MappedArray;
use crate::engine::Remembered;
use crate::writer::{Capacities, FrontendKey, MapReader, Name, PrefixKey, WriteError};
use proxy_common::abi::{
    AffinityEntry, AffinityKey, AgentEntry, BackendEntry, BackendRef, Counter, FrontendValue, NodeEntry,
    PacketSettings, ServiceEntry, ServiceStats, TraceLease,
};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Maps that only programs use, beside [`object::BEFORE`].
const OTHERS: [MapName; 5] =
    [object::FRAGMENTS, object::STAGES, object::SCRATCH, object::TRANSITION, object::BEFORE_PACKETS];

/// All maps of a pin path.
#[derive(Debug)]
pub struct PinnedMaps {
    pub(super) frontends4: MapFd,
    pub(super) frontends6: MapFd,
    pub(super) services: MappedArray<ServiceEntry>,
    pub(super) slots: MappedArray<BackendRef>,
    pub(super) backends: MappedArray<BackendEntry>,
    pub(super) names: MappedArray<u64>,
    pub(super) source_ranges: MapFd,
    pub(super) networks: MapFd,
    pub(super) node: MappedArray<NodeEntry>,
    pub(super) flows: MapFd,
    pub(super) devices: MapFd,
    pub(super) packets: MappedArray<PacketSettings>,
    pub(super) trace: MappedArray<TraceLease>,
    pub(super) events: MapFd,
    pub(super) stats: MapFd,
    pub(super) affinity: MapFd,
    pub(super) udp_flows: MapFd,
    pub(super) reverse: MapFd,
    counters: MapFd,
    pub(super) agent: MappedArray<AgentEntry>,
    /// Those that only programs use.
    others: Vec<(MapName, MapFd)>,
    dirs: PinDirs,
    /// The directory of the maps.
    dir: File,
}

impl PinnedMaps {
    /// Opens the maps that an agent has pinned under `pin_path`, for reading only and beside it: no
    /// lock is taken.
    ///
    /// # Errors
    /// [`KernelError::NotPinned`] where no agent has run, [`KernelError::ForeignMap`],
    /// [`KernelError::Privileges`], or of the call that failed.
    pub fn read_only(pin_path: &Path) -> Result<Self, KernelError> {
        let shapes = object::shapes()?;
        let mut dirs = PinDirs::new(pin_path);
        loop {
            let opened = Self::open(dirs.clone(), &shapes, Access::Read);
            let newer = PinDirs::new(pin_path);
            // The agent may just have put others in their place.
            if opened.is_ok() || newer == dirs {
                return opened;
            }
            dirs = newer;
        }
    }

    pub(super) fn open(
        dirs: PinDirs,
        shapes: &[(MapName, MapShape)],
        access: Access,
    ) -> Result<Self, KernelError> {
        let open = |name| open_pin(&dirs, shapes, name, access);
        // Before the maps: if they are replaced meanwhile, so is it.
        let dir = File::open(&dirs.maps).map_err(|source| match source.kind() {
            ErrorKind::NotFound => KernelError::NotPinned { pin: dirs.maps.clone() },
            ErrorKind::PermissionDenied => {
                KernelError::Privileges { call: "open", capability: "CAP_BPF and CAP_DAC_OVERRIDE" }
            }
            _ => KernelError::path(&dirs.maps, "open", source),
        })?;
        Ok(Self {
            dir,
            frontends4: open(object::FRONTENDS4)?,
            frontends6: open(object::FRONTENDS6)?,
            services: array(&dirs, shapes, object::SERVICES, access)?,
            slots: array(&dirs, shapes, object::SLOTS, access)?,
            backends: array(&dirs, shapes, object::BACKENDS, access)?,
            names: array(&dirs, shapes, object::NAMES, access)?,
            source_ranges: open(object::SOURCE_RANGES)?,
            networks: open(object::NETWORKS)?,
            node: array(&dirs, shapes, object::NODE, access)?,
            flows: open(object::FLOWS)?,
            devices: open(object::DEVICES)?,
            packets: array(&dirs, shapes, object::PACKETS, access)?,
            trace: array(&dirs, shapes, object::TRACE, access)?,
            events: open(object::EVENTS)?,
            stats: open(object::STATS)?,
            affinity: open(object::AFFINITY)?,
            udp_flows: open(object::UDP_FLOWS)?,
            reverse: open(object::REVERSE)?,
            counters: open(object::COUNTERS)?,
            agent: array(&dirs, shapes, object::AGENT, access)?,
            others: OTHERS
                .into_iter()
                .chain(object::BEFORE.map(|(name, _)| name))
                .map(|name| Ok((name, open(name)?)))
                .collect::<Result<_, KernelError>>()?,
            dirs,
        })
    }

    /// The same maps after their directory was renamed.
    pub(super) fn renamed(self, dirs: PinDirs) -> Self {
        Self { dirs, ..self }
    }

    /// What the programs have counted, summed over all CPUs, indexed by [`Counter`].
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_BATCH.
    pub fn counters(&self) -> Result<[u64; Counter::COUNT], WriteError> {
        let mut sums = [0; Counter::COUNT];
        let read = read_counters(&self.counters)
            .map_err(|source| failed(object::COUNTERS, "BPF_MAP_LOOKUP_BATCH", source))?;
        sums.iter_mut().zip(read).for_each(|(sum, total)| *sum = total);
        Ok(sums)
    }

    /// Ages some of the entries of FLOWS: takes out those of flows that have been silent for too long. `now` is
    /// CLOCK_MONOTONIC in seconds.
    ///
    /// # Errors
    /// Of the call that failed (`PermissionDenied`: these maps were opened for reading only); the next step begins at
    /// the start of the map.
    pub fn collect_flows(&self, collector: &mut Collector, now: u32) -> Result<Collected, WriteError> {
        collector.step(&self.flows, now).map_err(|source| failed(object::FLOWS, "aging by batches", source))
    }

    /// Counts some of the entries of the maps that programs write, but for FLOWS. `now` is CLOCK_MONOTONIC in
    /// nanoseconds; the result comes with the last part.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_BATCH; the next call begins again.
    pub fn count_remembered(
        &self,
        count: &mut RememberedCount,
        now: u64,
    ) -> Result<Option<Remembered>, WriteError> {
        count.step(self, now)
    }

    /// What the agent says of itself: the last one that had these maps.
    #[must_use]
    pub fn agent(&self) -> AgentEntry {
        self.agent.get(0).unwrap_or_default()
    }

    /// How the packet programs work.
    #[must_use]
    pub fn packet_settings(&self) -> PacketSettings {
        self.packets.get(0).unwrap_or_default()
    }

    /// How many entries FLOWS has; a flow has two.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_BATCH.
    pub fn flows(&self) -> Result<u32, WriteError> {
        count(&self.flows).map_err(|source| failed(object::FLOWS, "BPF_MAP_LOOKUP_BATCH", source))
    }

    /// How many entries DEVICES has.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_BATCH.
    pub fn devices(&self) -> Result<u32, WriteError> {
        count(&self.devices).map_err(|source| failed(object::DEVICES, "BPF_MAP_LOOKUP_BATCH", source))
    }

    /// The backend that a client with session affinity came to last, if it is remembered.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_ELEM.
    pub fn affinity(&self, key: &AffinityKey) -> Result<Option<AffinityEntry>, WriteError> {
        match self.affinity.lookup(key.as_bytes()) {
            Ok(value) => Ok(AffinityEntry::read_from_bytes(&value).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed(object::AFFINITY, "BPF_MAP_LOOKUP_ELEM", source)),
        }
    }

    /// What service ports have carried since the maps were made, by index: at least `count`, as far as the map has so
    /// many. An index may have belonged to another service port before.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_BATCH.
    pub fn stats(&self, count: u32) -> Result<Vec<ServiceStats>, WriteError> {
        read_stats(&self.stats, count).map_err(|source| failed(object::STATS, "BPF_MAP_LOOKUP_BATCH", source))
    }

    /// Whether these maps are still those of the pin path, and the newest there. Once they are not, nothing changes in
    /// them any more.
    #[must_use]
    pub fn are_pinned(&self) -> bool {
        let newest = Instances::of(&self.dirs.version).ok().and_then(|found| found.whole.last().copied());
        newest == Some(self.dirs.number) && lock::is_at(&self.dir, &self.dirs.maps)
    }

    /// Bytes of kernel memory that each map takes.
    ///
    /// # Errors
    /// [`KernelError::Call`] where fdinfo cannot be read.
    pub fn memory(&self) -> Result<Vec<(MapName, u64)>, KernelError> {
        [
            (object::FRONTENDS4, &self.frontends4),
            (object::FRONTENDS6, &self.frontends6),
            (object::SERVICES, self.services.map()),
            (object::SLOTS, self.slots.map()),
            (object::BACKENDS, self.backends.map()),
            (object::NAMES, self.names.map()),
            (object::UDP_FLOWS, &self.udp_flows),
            (object::REVERSE, &self.reverse),
            (object::AFFINITY, &self.affinity),
            (object::SOURCE_RANGES, &self.source_ranges),
            (object::NETWORKS, &self.networks),
            (object::NODE, self.node.map()),
            (object::FLOWS, &self.flows),
            (object::DEVICES, &self.devices),
            (object::PACKETS, self.packets.map()),
            (object::TRACE, self.trace.map()),
            (object::EVENTS, &self.events),
            (object::STATS, &self.stats),
            (object::COUNTERS, &self.counters),
            (object::AGENT, self.agent.map()),
        ]
        .into_iter()
        .chain(self.others.iter().map(|(object, map)| (*object, map)))
        .map(|(object, map)| {
            let bytes =
                map.memory().map_err(|source| KernelError::Call { object, call: "fdinfo", source })?;
            Ok((object, bytes))
        })
        .collect::<Result<Vec<_>, KernelError>>()
        .map(|mut memory| {
            memory.sort_by_key(|(name, _)| object::MAPS.iter().position(|map| map == name));
            memory
        })
    }

    /// The programs that are pinned beside these maps, and whether the kernel runs them for sockets
    /// of `cgroup`.
    ///
    /// # Errors
    /// As for [`attached`].
    pub fn attached(&self, cgroup: &Cgroup) -> Result<Vec<Attachment>, KernelError> {
        attached(&self.dirs.links, cgroup)
    }

    /// The devices of the calling thread's network namespace that the packet programs are attached to.
    ///
    /// # Errors
    /// Of the call that failed.
    pub fn attached_devices(&self) -> Result<Vec<DeviceAttachment>, KernelError> {
        packets::attached(&self.dirs.links, &self.devices)
    }
}

impl MapReader for PinnedMaps {
    fn capacities(&self) -> Capacities {
        let entries = |map: &MapFd| map.shape().max_entries;
        Capacities {
            frontends: entries(&self.frontends4).min(entries(&self.frontends6)),
            services: entries(self.services.map()),
            slots: entries(self.slots.map()),
            backends: entries(self.backends.map()),
            name_cells: entries(self.names.map()),
            sockets: entries(&self.udp_flows).min(entries(&self.reverse)),
            affinities: entries(&self.affinity),
            flows: entries(&self.flows),
            prefixes: entries(&self.source_ranges).min(entries(&self.networks)),
        }
    }

    fn frontends(&self) -> Result<Vec<(FrontendKey, FrontendValue)>, WriteError> {
        let v4 = read_all(&self.frontends4)
            .map_err(|source| failed(object::FRONTENDS4, "BPF_MAP_LOOKUP_BATCH", source))?;
        let v6 = read_all(&self.frontends6)
            .map_err(|source| failed(object::FRONTENDS6, "BPF_MAP_LOOKUP_BATCH", source))?;
        let v4 = v4.into_iter().map(|(key, value)| (FrontendKey::V4(key), value));
        let v6 = v6.into_iter().map(|(key, value)| (FrontendKey::V6(key), value));
        Ok(v4.chain(v6).collect())
    }

    fn prefixes(&self) -> Result<Vec<(PrefixKey, u32)>, WriteError> {
        let ranges = read_all(&self.source_ranges)
            .map_err(|source| failed(object::SOURCE_RANGES, "BPF_MAP_GET_NEXT_KEY", source))?;
        let networks = read_all(&self.networks)
            .map_err(|source| failed(object::NETWORKS, "BPF_MAP_GET_NEXT_KEY", source))?;
        let ranges = ranges.into_iter().map(|(key, value)| (PrefixKey::Source(key), value));
        let networks = networks.into_iter().map(|(key, value)| (PrefixKey::Network(key), value));
        Ok(ranges.chain(networks).collect())
    }

    fn node(&self) -> NodeEntry {
        self.node.get(0).unwrap_or_default()
    }

    fn service(&self, index: u32) -> Option<ServiceEntry> {
        self.services.get(index)
    }

    fn slot(&self, index: u32) -> Option<BackendRef> {
        self.slots.get(index)
    }

    fn backend(&self, index: u32) -> Option<BackendEntry> {
        self.backends.get(index)
    }

    fn name(&self, cell: u32) -> Option<Name> {
        let [low, high, ..] = self.names.get(cell)?.to_ne_bytes();
        let len = usize::from(u16::from_ne_bytes([low, high]));
        if len == 0 {
            return None;
        }
        let mut bytes = Vec::with_capacity(len + 2 * size_of::<u64>());
        let mut next = cell;
        while bytes.len() < size_of::<u16>() + len {
            bytes.extend(self.names.get(next)?.to_ne_bytes());
            next = next.checked_add(1)?;
        }
        let text = bytes.get(size_of::<u16>()..size_of::<u16>() + len)?;
        str::from_utf8(text).ok().map(str::to_owned)
    }
}

/// Opens a pinned map and compares it with what the object would make: its shape, and its fields where it was made with
/// BTF. The pin decides the number of entries, except of COUNTERS, which the ABI does.
pub(super) fn open_pin(
    dirs: &PinDirs,
    shapes: &[(MapName, MapShape)],
    name: MapName,
    access: Access,
) -> Result<MapFd, KernelError> {
    let expected = *shapes
        .iter()
        .find_map(|(of, shape)| (*of == name).then_some(shape))
        .ok_or(KernelError::Object { object: name })?;
    let pin = dirs.maps.join(name);
    let map = MapFd::open(&pin, access).map_err(|source| match source.kind() {
        ErrorKind::NotFound => KernelError::NotPinned { pin: pin.clone() },
        ErrorKind::PermissionDenied => {
            KernelError::Privileges { call: "BPF_OBJ_GET", capability: "CAP_BPF and CAP_DAC_OVERRIDE" }
        }
        _ => KernelError::path(&pin, "BPF_OBJ_GET", source),
    })?;
    let found = *map.shape();
    if !found.fits(&expected) || (name == object::COUNTERS && found != expected) {
        return Err(KernelError::ForeignMap { pin, expected, found });
    }
    if let Some(difference) = layout::first_difference(&map, name)? {
        return Err(KernelError::ForeignFields { pin, difference });
    }
    Ok(map)
}

/// Opens and maps an array. The kernel maps none through a descriptor for reading only, so the
/// mapping alone keeps a reader from writing.
pub(super) fn array<T: FromBytes + IntoBytes + Immutable>(
    dirs: &PinDirs,
    shapes: &[(MapName, MapShape)],
    object: MapName,
    access: Access,
) -> Result<MappedArray<T>, KernelError> {
    let map = open_pin(dirs, shapes, object, Access::ReadWrite)?;
    MappedArray::new(map, access).map_err(|source| KernelError::Call { object, call: "mmap", source })
}

fn failed(map: MapName, call: &'static str, source: io::Error) -> WriteError {
    WriteError { map, call, done: 0, source }
}
