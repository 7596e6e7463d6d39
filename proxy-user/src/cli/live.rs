//! The pinned maps of a running node, as a copy that nothing races with.

use super::exit::Usage;
use crate::{
    explain::{Question, affinity_key},
    kernel::{Kernel, KernelError, PinnedMaps, Watcher},
    writer::MemoryMaps,
};
use proxy_common::datapath::Tables as _;
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;

/// Opens what an agent has pinned; `instead` says what else a user may do where there is nothing.
///
/// # Errors
/// [`Usage`] where no agent has run; else of the call that failed.
pub fn open(pin_path: &Path, instead: &str) -> anyhow::Result<PinnedMaps> {
    Kernel::read_only(pin_path).map_err(|error| explained(error, instead))
}

/// Opens what an agent has pinned to watch its decisions.
///
/// # Errors
/// [`Usage`] where no agent has run; else of the call that failed.
pub fn watch(pin_path: &Path) -> anyhow::Result<Watcher> {
    Watcher::open(pin_path).map_err(|error| explained(error, ""))
}

fn explained(error: KernelError, instead: &str) -> anyhow::Error {
    match error {
        KernelError::NotPinned { .. } => anyhow::Error::new(Usage(format!(
            "{error}; start one with `shunt run`, or name its --pin-path{instead}"
        ))),
        other => other.into(),
    }
}

/// Copies what an agent has pinned, with what it remembers of the client that is asked about.
///
/// # Errors
/// [`Usage`] where no agent has run; else of the call that failed.
pub fn copy(pin_path: &Path, question: &Question) -> anyhow::Result<MemoryMaps> {
    let maps = open(pin_path, ", or ask about --manifests")?;
    let copy = MemoryMaps::copy_of(&maps)?;
    let now = clock_gettime(ClockId::Monotonic);
    copy.set_now(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64);
    if let Some(key) = affinity_key(&copy, question)
        && let Some(entry) = maps.affinity(&key)?
    {
        // Maps in memory have room for it.
        let _ = copy.remember_affinity(&key, &entry);
    }
    Ok(copy)
}
