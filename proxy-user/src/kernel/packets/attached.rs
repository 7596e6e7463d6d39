//! Which devices the packet programs are attached to.

use super::hook::PacketHook;
use super::{clsact, tcx};
use crate::kernel::entries::read_all;
use crate::kernel::error::KernelError;
use crate::kernel::object;
use crate::kernel::sys::MapFd;
use proxy_common::abi::DeviceEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How programs are attached to a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AttachedBy {
    /// tcx links, pinned.
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

/// What is there of the packet path on one device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeviceAttachment {
    /// Index of the device. It may be gone.
    pub device: u32,
    /// How its programs are attached; `None` if none of them is.
    pub by: Option<AttachedBy>,
    /// Id of the program that sees packets arrive.
    pub ingress: Option<u32>,
    /// Id of the program that sees packets leave.
    pub egress: Option<u32>,
    /// What the programs know of the device. Without it they let its packets pass.
    pub entry: Option<DeviceEntry>,
}

impl DeviceAttachment {
    /// Id of the program of one hook.
    #[must_use]
    pub(in crate::kernel) const fn program(&self, hook: PacketHook) -> Option<u32> {
        match hook {
            PacketHook::Egress => self.egress,
            PacketHook::Ingress => self.ingress,
        }
    }

    /// Whether its packets are translated.
    #[must_use]
    pub const fn is_effective(&self) -> bool {
        self.ingress.is_some() && self.egress.is_some() && self.entry.is_some()
    }
}

/// Ids of the packet programs whose links are pinned in a directory, one for each hook: all devices have the same.
///
/// # Errors
/// Of the call that failed.
pub fn running(links: &Path) -> Result<Vec<(PacketHook, u32)>, KernelError> {
    let (pinned, qdiscs) = (tcx::devices(links)?, clsact::devices()?);
    let mut found = Vec::new();
    for hook in PacketHook::BOTH {
        let mut program = None;
        for device in &pinned {
            program = program.or(tcx::pinned_program(links, *device, hook)?);
        }
        for device in &qdiscs {
            program = match program {
                None => clsact::program(links, *device, hook)?,
                found => found,
            };
        }
        found.extend(program.map(|id| (hook, id)));
    }
    Ok(found)
}

/// Every device of the calling thread's network namespace that has something of the packet path, and those that
/// have left a trace, by index.
///
/// # Errors
/// Of the call that failed.
pub fn attached(links: &Path, entries: &MapFd) -> Result<Vec<DeviceAttachment>, KernelError> {
    let entries: BTreeMap<u32, DeviceEntry> = read_all(entries)
        .map_err(|source| KernelError::Call {
            object: object::DEVICES,
            call: "BPF_MAP_LOOKUP_BATCH",
            source,
        })?
        .into_iter()
        .collect();
    let (pinned, qdiscs): (BTreeSet<_>, BTreeSet<_>) =
        (tcx::devices(links)?.into_iter().collect(), clsact::devices()?.into_iter().collect());
    let known: BTreeSet<u32> = entries.keys().copied().chain(pinned.iter().copied()).collect();
    let mut found = Vec::new();
    for device in known.union(&qdiscs).copied() {
        let mut attachment = DeviceAttachment { device, by: None, ingress: None, egress: None, entry: None };
        attachment.entry = entries.get(&device).copied();
        for hook in PacketHook::BOTH {
            let mut program = None;
            if pinned.contains(&device) {
                program = tcx::program(links, device, hook)?.map(|id| (id, AttachedBy::Tcx));
            }
            if program.is_none() && qdiscs.contains(&device) {
                program = clsact::program(links, device, hook)?.map(|id| (id, AttachedBy::Clsact));
            }
            let Some((id, by)) = program else { continue };
            attachment.by = attachment.by.max(Some(by));
            match hook {
                PacketHook::Egress => attachment.egress = Some(id),
                PacketHook::Ingress => attachment.ingress = Some(id),
            }
        }
        // A qdisc of somebody else's is none of ours.
        if attachment.by.is_some() || known.contains(&device) {
            found.push(attachment);
        }
    }
    Ok(found)
}
