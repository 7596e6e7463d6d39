//! The loaded programs: attached on demand, again and again, and watched.

use super::attach::{Attached, Attachment, attach, attached};
use super::cgroup::Cgroup;
use super::error::KernelError;
use super::features::Features;
use super::lock::PinLock;
use aya::Ebpf;
use std::path::PathBuf;
use std::sync::Arc;

/// The programs of one pin path. Dropping it leaves what is attached attached.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    cgroup: Cgroup,
    links: PathBuf,
    features: Features,
    // Last, so that all else is closed when another process may take over.
    _lock: Arc<PinLock>,
}

impl Programs {
    pub(super) fn new(
        ebpf: Ebpf,
        cgroup: Cgroup,
        links: PathBuf,
        features: Features,
        lock: Arc<PinLock>,
    ) -> Self {
        Self { ebpf, cgroup, links, features, _lock: lock }
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
