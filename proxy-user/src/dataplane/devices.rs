//! Keeps the packet programs attached to the devices that are wanted.

use crate::kernel::{KernelError, PacketPrograms};
use proxy_common::abi::DeviceEntry;
use std::collections::BTreeMap;

/// What a change of devices came to, by index.
#[derive(Debug, Default)]
pub struct DeviceReport {
    /// The programs were attached to these, or put in the place of a former agent's.
    pub attached: Vec<u32>,
    /// The programs on these were told what is new about them.
    pub changed: Vec<u32>,
    /// The programs were taken from these, or what was left of devices that are gone.
    pub detached: Vec<u32>,
    /// These could not be attached to or detached from; what crosses them is not translated.
    pub failed: Vec<(u32, KernelError)>,
}

/// What is attached.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// With the entry that this process has published; `None` of one that a former agent has left, or where a call
    /// failed. All of it is `None` until somebody has looked.
    known: Option<BTreeMap<u32, Option<DeviceEntry>>>,
}

impl Devices {
    /// Makes the smallest set of changes that leads to the devices that are wanted.
    pub fn set(
        &mut self,
        programs: &mut PacketPrograms,
        wanted: &BTreeMap<u32, DeviceEntry>,
    ) -> Result<DeviceReport, KernelError> {
        let known = match &mut self.known {
            Some(known) => known,
            known => known.insert(programs.attached()?.iter().map(|left| (left.device, None)).collect()),
        };
        let mut report = DeviceReport::default();
        let unwanted: Vec<_> = known.keys().copied().filter(|index| !wanted.contains_key(index)).collect();
        for index in unwanted {
            match programs.detach(index) {
                Ok(()) => {
                    known.remove(&index);
                    report.detached.push(index);
                }
                Err(error) => report.failed.push((index, error)),
            }
        }
        for (index, entry) in wanted {
            let (done, to) = match known.get(index) {
                Some(Some(former)) if former == entry => continue,
                Some(Some(_)) => (programs.publish(*index, entry), &mut report.changed),
                Some(None) | None => (programs.attach(*index, entry), &mut report.attached),
            };
            known.insert(*index, done.is_ok().then_some(*entry));
            match done {
                Ok(()) => to.push(*index),
                Err(error) => report.failed.push((*index, error)),
            }
        }
        Ok(report)
    }

    /// The devices that the programs are attached to, as far as this process has seen to it.
    pub fn kept(&self) -> BTreeMap<u32, DeviceEntry> {
        let known = self.known.iter().flatten();
        known.filter_map(|(index, entry)| Some((*index, (*entry)?))).collect()
    }
}
