//! What the kernel is asked at a scrape: beside the agent, through maps opened for reading alone.

use crate::{
    dataplane::DataplaneError,
    kernel::{Cgroup, DeviceAttachment, Kernel, MapName, Options, PinnedMaps},
    model::Family,
    table::parse_name,
    writer::MapReader,
};
use proxy_common::abi::{Counter, ServiceFlags};
use std::path::PathBuf;

/// What the kernel says at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelSnapshot {
    /// Since the maps were made, indexed by [`Counter`].
    pub counters: [u64; Counter::COUNT],
    /// Programs that the kernel runs for sockets of the cgroup.
    pub programs_in_effect: u64,
    /// Devices of the reader's network namespace whose packets are translated, both ways.
    pub devices_in_effect: u64,
    /// Bytes of each map.
    pub memory: Vec<(MapName, u64)>,
    /// Service ports with a Local traffic policy that have endpoints, but none on this node: internal, then external
    /// policy; each by family, in the order of [`Family::BOTH`].
    pub no_local_endpoints: [[u64; 2]; 2],
}

/// Reads what an agent has pinned. Maps that were replaced meanwhile are opened anew.
#[derive(Debug)]
pub struct KernelReader {
    pin_path: PathBuf,
    cgroup: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    maps: PinnedMaps,
    cgroup: Cgroup,
}

impl KernelReader {
    /// Of an agent with these options. Nothing is opened yet.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self { pin_path: options.pin_path.clone(), cgroup: options.cgroup.clone(), open: None }
    }

    /// Asks. Devices are those of the calling thread's network namespace.
    ///
    /// # Errors
    /// Where the maps or the cgroup cannot be opened or read; the next call tries it again.
    pub fn read(&mut self) -> Result<KernelSnapshot, DataplaneError> {
        let open = match self.open.take().filter(|open| open.maps.are_pinned()) {
            Some(open) => open,
            None => Open { maps: Kernel::read_only(&self.pin_path)?, cgroup: Cgroup::open(&self.cgroup)? },
        };
        let Open { maps, cgroup } = &open;
        let snapshot = KernelSnapshot {
            counters: maps.counters()?,
            programs_in_effect: count(maps.attached(cgroup)?.iter().map(|program| program.effective)),
            devices_in_effect: count(maps.attached_devices()?.iter().map(DeviceAttachment::is_effective)),
            memory: maps.memory()?,
            no_local_endpoints: no_local_endpoints(maps),
        };
        self.open = Some(open);
        Ok(snapshot)
    }
}

fn count(effective: impl Iterator<Item = bool>) -> u64 {
    effective.map(u64::from).sum()
}

/// Where kube-proxy drops what a Local policy meets no endpoint for, and counts it.
fn no_local_endpoints(maps: &impl MapReader) -> [[u64; 2]; 2] {
    let mut counts = [[0; 2]; 2];
    for index in 0..maps.capacities().services {
        let Some(entry) = maps.service(index).filter(|entry| entry.name > 0) else { continue };
        if entry.local.count() > 0 || !entry.flags.contains(ServiceFlags::ANY_USABLE) {
            continue;
        }
        let policies = [ServiceFlags::INTERNAL_LOCAL, ServiceFlags::EXTERNAL_LOCAL];
        let policies = policies.map(|policy| entry.flags.contains(policy));
        if policies == [false; 2] {
            continue;
        }
        // The entry does not say its family, its name does; a name that is being written says nothing.
        let name = maps.name(entry.name - 1).and_then(|text| parse_name(&text));
        let Some(family) = name.map(|id| id.family) else { continue };
        for (counts, is_local) in counts.iter_mut().zip(policies) {
            counts[family as usize] += u64::from(is_local);
        }
    }
    counts
}

const _: () = assert!(Family::V4 as usize == 0 && Family::V6 as usize == 1);
