//! The handle on everything that Shunt has in the kernel.

use super::attach::{Attached, Attachment};
use super::bpffs::{self, PinDirs};
use super::cgroup::Cgroup;
use super::error::KernelError;
use super::features::{self, Features};
use super::loader::{Load, load, put_stages};
use super::lock::PinLock;
use super::machine::Machine;
use super::maps::KernelMaps;
use super::object;
use super::packets::PacketPrograms;
use super::pinned::PinnedMaps;
use super::programs::Programs;
use super::sys::Access;
use super::transition::{self, After, Making};
use super::watchman::{self, Watchman};
use crate::writer::{Capacities, Fixed, Limits};
use proxy_common::abi::DeviceEntry;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where and how large.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The cgroup v2 directory whose sockets, and those below it, are served.
    pub cgroup: PathBuf,
    /// A directory on a bpffs, made if it is missing.
    pub pin_path: PathBuf,
    /// Sizes of maps that are made; a map that is adopted has its own, until it grows.
    pub capacities: Capacities,
    /// How far maps may grow.
    pub limits: Limits,
    /// aya-log level of programs built with log statements: 0 is off, 5 is trace.
    pub log_level: u8,
    /// Attaches the packet programs by filters of clsact qdiscs, even where the kernel has tcx.
    pub clsact: bool,
}

impl Default for Options {
    /// All sockets of the node, the usual place for pins, and sizes that follow the machine.
    fn default() -> Self {
        let machine = Machine::here();
        let limits = machine.limits(None, Fixed::default());
        Self {
            cgroup: super::cgroup::mount_point().unwrap_or_else(|| "/sys/fs/cgroup".into()),
            pin_path: "/sys/fs/bpf/shunt".into(),
            capacities: limits.first(machine.memory),
            limits,
            log_level: 0,
            clsact: false,
        }
    }
}

/// Programs, maps and links of one pin path, and the only right to write to them. Dropping it
/// changes nothing in the kernel: what is pinned goes on serving.
#[derive(Debug)]
pub struct Kernel {
    maps: KernelMaps,
    programs: Programs,
}

impl Kernel {
    /// Takes the pin path, adopts or makes the maps and loads the programs. What is attached stays
    /// as it is until [`Self::attach`].
    ///
    /// # Errors
    /// See [`KernelError`]; those of the machine ([`KernelError::is_environment`]) come before
    /// anything is made, and [`KernelError::Locked`] before any map is.
    pub fn open(options: &Options) -> Result<Self, KernelError> {
        Self::open_watched(options, &mut |_| Ok(()))
    }

    /// [`Self::open`], telling after each step by which the maps of another version are taken over; an error of `after` ends
    /// it there.
    ///
    /// # Errors
    /// As there, and those of `after`.
    pub fn open_watched(options: &Options, after: After<'_>) -> Result<Self, KernelError> {
        let features = features::probe()?;
        let cgroup = Cgroup::open(&options.cgroup)?;
        cgroup.refuse_narrow()?;
        if bpffs::ensure(&options.pin_path)? {
            tracing::warn!(
                "nobody had mounted a bpffs at /sys/fs/bpf, so one was: from within a container it is that container's \
                 alone, and all that is pinned ends with it (`shunt mount-bpffs`)"
            );
        }
        let lock = Arc::new(PinLock::acquire(&options.pin_path)?);
        let dirs = PinDirs::new(&options.pin_path);
        transition::discard_unfinished(&dirs)?;
        let (capacities, log_level) = (&options.capacities, options.log_level);
        let waits = transition::take_over(&dirs, Making { capacities, features, log_level }, after)?;
        dirs.create()?;
        for finding in watchman::recover(&options.pin_path, &dirs)? {
            tracing::warn!("{finding}");
        }
        let ebpf = load(&Load { dirs: &dirs, capacities, features, log_level, former: None })?;
        if transition::former(&dirs)?.is_none() {
            put_stages(&ebpf, &dirs)?;
        }
        let maps = PinnedMaps::open(dirs.clone(), &object::shapes()?, Access::ReadWrite)?;
        let maps = KernelMaps::new(maps, Arc::clone(&lock))?;
        let mut packets = PacketPrograms::new(&ebpf, &dirs, options.clsact)?;
        if waits {
            packets.stand_by();
        }
        let programs = Programs {
            ebpf,
            packets,
            cgroup,
            pin_path: options.pin_path.clone(),
            dirs,
            features,
            log_level,
            waits,
            watchman: Watchman::default(),
            lock,
        };
        Ok(Self { maps, programs })
    }

    /// Opens what an agent has pinned, for reading only and beside it.
    ///
    /// # Errors
    /// See [`PinnedMaps::read_only`].
    pub fn read_only(pin_path: &Path) -> Result<PinnedMaps, KernelError> {
        PinnedMaps::read_only(pin_path)
    }

    /// The maps for an engine and the programs for whoever watches that they stay attached, each on
    /// a thread of its own if need be. The pin path is free once both are dropped.
    #[must_use]
    pub fn split(self) -> (KernelMaps, Programs) {
        (self.maps, self.programs)
    }

    /// See [`Programs::attach`].
    ///
    /// # Errors
    /// As there.
    pub fn attach(&mut self) -> Result<Attached, KernelError> {
        self.programs.attach()
    }

    /// See [`Programs::attached`].
    ///
    /// # Errors
    /// As there.
    pub fn attached(&self) -> Result<Vec<Attachment>, KernelError> {
        self.programs.attached()
    }

    /// See [`Programs::watch`].
    pub fn watch(&mut self, devices: &BTreeMap<u32, DeviceEntry>) -> watchman::Round {
        self.programs.watch(devices)
    }

    /// See [`Programs::packets`].
    #[must_use]
    pub fn packets(&mut self) -> &mut PacketPrograms {
        self.programs.packets()
    }

    /// The maps, to read.
    #[must_use]
    pub fn maps(&self) -> &KernelMaps {
        &self.maps
    }

    /// The maps, to write.
    #[must_use]
    pub fn maps_mut(&mut self) -> &mut KernelMaps {
        &mut self.maps
    }

    /// What the kernel has.
    #[must_use]
    pub fn features(&self) -> Features {
        self.programs.features()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_may_move_to_a_thread_of_its_own() {
        fn is_send<T: Send + 'static>() {}
        is_send::<KernelMaps>();
        is_send::<Programs>();
        is_send::<PinnedMaps>();
    }
}
