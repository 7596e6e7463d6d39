//! The loaded programs: attached on demand, again and again, and watched.

use super::attach::{Attached, Attachment, DETACH_ORDER, attach, attached};
use super::bpffs::{self, PinDirs};
use super::cgroup::Cgroup;
use super::error::KernelError;
use super::features::Features;
use super::lock::PinLock;
use super::packets::{self, PacketPrograms};
use super::watchman::Watchman;
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
    links: PathBuf,
    features: Features,
    pub(super) watchman: Watchman,
    // Last, so that all else is closed when another process may take over.
    pub(super) lock: Arc<PinLock>,
}

impl Programs {
    pub(super) fn new(
        ebpf: Ebpf,
        packets: PacketPrograms,
        cgroup: Cgroup,
        pin_path: PathBuf,
        features: Features,
        lock: Arc<PinLock>,
    ) -> Self {
        let links = PinDirs::new(&pin_path).links;
        Self { ebpf, packets, cgroup, pin_path, links, features, watchman: Watchman::default(), lock }
    }

    /// Where its maps and links are pinned.
    pub(super) fn dirs(&self) -> PinDirs {
        PinDirs::new(&self.pin_path)
    }

    /// Attaches every program that is not attached: in the place of a former version without a gap,
    /// or anew. Calling it again repairs what others have detached.
    ///
    /// # Errors
    /// Of the step that failed; the call may be repeated.
    pub fn attach(&mut self) -> Result<Attached, KernelError> {
        attach(&mut self.ebpf, &self.links, &self.cgroup)
    }

    /// The programs that are attached, and whether the kernel runs them.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET, BPF_OBJ_GET_INFO_BY_FD or BPF_PROG_QUERY.
    pub fn attached(&self) -> Result<Vec<Attachment>, KernelError> {
        attached(&self.links, &self.cgroup)
    }

    /// The packet programs, which are attached to devices one by one.
    #[must_use]
    pub fn packets(&mut self) -> &mut PacketPrograms {
        &mut self.packets
    }

    /// Detaches the programs that an agent with another version of the map ABI left under the same pin path, and
    /// removes their maps. Until then they serve beside these, by what they were told last: an address that one
    /// has translated is none that the other knows. So call it once everything is programmed here.
    ///
    /// # Errors
    /// [`KernelError::Path`]; the call may be repeated.
    pub fn remove_other_versions(&self) -> Result<(), KernelError> {
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
