//! The loaded programs: attached on demand, again and again, and watched.

use super::attach::{Attached, Attachment, DETACH_ORDER, attach, attached};
use super::bpffs::{self, PinDirs};
use super::cgroup::Cgroup;
use super::error::KernelError;
use super::features::Features;
use super::lock::PinLock;
use super::maps::KernelMaps;
use super::packets::{self, PacketPrograms};
use super::transition::{self, After};
use super::watchman::Watchman;
use crate::writer::{Capacities, MapReader};
use aya::Ebpf;
use std::path::PathBuf;
use std::sync::Arc;

/// The programs of one pin path. Dropping it leaves what is attached attached.
#[derive(Debug)]
pub struct Programs {
    pub(super) ebpf: Ebpf,
    pub(super) packets: PacketPrograms,
    pub(super) cgroup: Cgroup,
    pub(super) pin_path: PathBuf,
    pub(super) dirs: PinDirs,
    pub(super) features: Features,
    pub(super) log_level: u8,
    /// Another version's programs go on until the maps are filled: these are not attached.
    pub(super) waits: bool,
    pub(super) watchman: Watchman,
    // Last, so that all else is closed when another process may take over.
    pub(super) lock: Arc<PinLock>,
}

impl Programs {
    /// Attaches every program that is not attached: in the place of a former version without a gap,
    /// or anew. Calling it again repairs what others have detached. What a former agent has begun and not finished, it
    /// finishes: see [`Self::grow`].
    ///
    /// # Errors
    /// Of the step that failed; the call may be repeated.
    pub fn attach(&mut self) -> Result<Attached, KernelError> {
        self.attach_watched(&mut |_| Ok(()))
    }

    /// [`Self::attach`], telling after each step of what it finishes; an error of `after` ends it there.
    ///
    /// # Errors
    /// As there, and those of `after`.
    pub fn attach_watched(&mut self, after: After<'_>) -> Result<Attached, KernelError> {
        let attached = match transition::finish(self, None, after)? {
            Some(attached) => attached,
            None if self.waits => Attached::default(),
            None => attach(&mut self.ebpf, &self.dirs.links, &self.cgroup)?,
        };
        self.hold();
        Ok(attached)
    }

    /// Makes the maps larger, without a gap: new ones are made beside those, filled from them and taken by programs that
    /// take the place of these. Nothing may write to the maps meanwhile, which `maps` sees to; it has the new ones then.
    /// A size that is wanted smaller than it is stays. Returns the sizes.
    ///
    /// What sockets and clients were given and the flows of packets are carried over while they go on. Of the totals in
    /// STATS what programs add between their copy and their successors' start (some milliseconds) is lost.
    ///
    /// # Errors
    /// Of the step that failed. Until the new maps are whole, all stays as it was; from then on `maps` has them, and
    /// calling this or [`Self::attach`] again goes on with the rest, as another agent does that starts.
    pub fn grow(&mut self, maps: &mut KernelMaps, wanted: &Capacities) -> Result<Capacities, KernelError> {
        self.grow_watched(maps, wanted, &mut |_| Ok(()))
    }

    /// [`Self::grow`], telling after each step; an error of `after` ends it there.
    ///
    /// # Errors
    /// As there, and those of `after`.
    pub fn grow_watched(
        &mut self,
        maps: &mut KernelMaps,
        wanted: &Capacities,
        after: After<'_>,
    ) -> Result<Capacities, KernelError> {
        transition::grow(self, maps, wanted, after)?;
        Ok(maps.capacities())
    }

    /// The programs that are attached, and whether the kernel runs them.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET, BPF_OBJ_GET_INFO_BY_FD or BPF_PROG_QUERY.
    pub fn attached(&self) -> Result<Vec<Attachment>, KernelError> {
        attached(&self.dirs.links, &self.cgroup)
    }

    /// The packet programs, which are attached to devices one by one.
    #[must_use]
    pub fn packets(&mut self) -> &mut PacketPrograms {
        &mut self.packets
    }

    /// Puts these programs in the place of those of another version, where the maps of that one could not be taken over and
    /// it has served so far, by what it was told last; then removes all that other versions have under this pin path. So
    /// call it once everything is programmed here.
    ///
    /// # Errors
    /// Of the step that failed; the call may be repeated.
    pub fn remove_other_versions(&mut self) -> Result<(), KernelError> {
        if self.waits {
            // Where maps have grown meanwhile and an error ended that, these programs have no stages yet.
            transition::finish(self, None, &mut |_| Ok(()))?;
            self.packets.take(&self.ebpf)?;
            if let Some(former) = transition::other(&self.dirs)? {
                transition::adopt_links(&former, &self.dirs)?;
                attach(&mut self.ebpf, &self.dirs.links, &self.cgroup)?;
                self.packets.adopt(&former.links)?;
            } else {
                attach(&mut self.ebpf, &self.dirs.links, &self.cgroup)?;
            }
            self.packets.begin(&self.ebpf)?;
            transition::set_filled(&self.dirs)?;
            self.waits = false;
        }
        packets::clear(&self.pin_path, |version| version != bpffs::current())?;
        for version in bpffs::clear_others(&self.pin_path, &DETACH_ORDER)? {
            tracing::info!(version, "removed programs and maps of another version of Shunt");
        }
        Ok(())
    }

    /// What the kernel has.
    #[must_use]
    pub fn features(&self) -> Features {
        self.features
    }

    /// The loaded object, for a log reader: the map AYA_LOGS of an object with log statements.
    #[must_use]
    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }
}
