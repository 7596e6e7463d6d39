//! The look from outside: of `shunt doctor`, or of an embedder, beside an agent or without one. Nothing is changed.

use super::finding::{Fault, Finding, Hook, Severity};
use super::names::Names;
use super::{devices, sockets};
use crate::kernel::bpffs::{self, PinDirs};
use crate::kernel::cgroup::Cgroup;
use crate::kernel::error::KernelError;
use crate::kernel::object::{self, MAPS};
use crate::kernel::packets;
use crate::kernel::pinned::open_pin;
use crate::kernel::sys::{Access, LinkFd, Tc, xdp_programs};
use std::io::ErrorKind;
use std::path::Path;

/// Everything about pins, attachments and other programs that is not as it should be; nothing on a node that balances.
///
/// Devices are those of the calling thread's network namespace that the pinned maps or links know of. What cannot be found
/// out is a finding too, so that whoever prints them leaves nothing out.
#[must_use]
pub fn findings(pin_path: &Path, cgroup: &Path) -> Vec<Finding> {
    let dirs = PinDirs::new(pin_path);
    let mut found = Vec::new();
    if let Err(error) = bpffs::refuse_others(pin_path) {
        return vec![Finding {
            severity: Severity::Broken,
            ..Finding::new(Hook::new("pins"), Fault::Unmounted, error.to_string())
        }];
    }
    found.extend(pins(&dirs));
    let mut names = Names::default();
    match Cgroup::open(cgroup) {
        Ok(cgroup) => {
            found.extend(narrow(&cgroup));
            let link = |program: &str| match LinkFd::open(&dirs.links.join(program)) {
                Ok(link) => link.info(),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            };
            found.extend(sockets::look(&cgroup, &mut names, link, |_| None));
        }
        Err(error) => found.push(Finding {
            severity: Severity::Broken,
            ..Finding::new(Hook::new("cgroup"), Fault::Unknown, error.to_string())
        }),
    }
    match packet_findings(&dirs, &mut names) {
        Ok(of_devices) => found.extend(of_devices),
        Err(error) => found.push(Finding::new(Hook::new("ingress"), Fault::Unknown, error.to_string())),
    }
    found
}

/// Whether the cgroup holds the sockets of the node, or only those of a container.
pub fn narrow(cgroup: &Cgroup) -> Option<Finding> {
    let error = cgroup.refuse_narrow().err()?;
    Some(Finding::new(Hook::new("cgroup"), Fault::NarrowCgroup, error.to_string()))
}

/// Maps that are not pinned, or not as they should be.
fn pins(dirs: &PinDirs) -> Vec<Finding> {
    let shapes = match object::shapes() {
        Ok(shapes) => shapes,
        Err(error) => return vec![Finding::new(Hook::new("pins"), Fault::Unknown, error.to_string())],
    };
    let finding = |name| {
        let fault = match open_pin(dirs, &shapes, name, Access::ReadWrite) {
            Ok(_) => return None,
            Err(error @ KernelError::NotPinned { .. }) => (Fault::Unpinned, error),
            Err(error @ KernelError::ForeignMap { .. }) => (Fault::ForeignPin, error),
            // BPF_OBJ_GET of another type of object, or of a directory.
            Err(error @ KernelError::Path { .. }) => (Fault::ForeignPin, error),
            Err(error) => (Fault::Unknown, error),
        };
        Some(Finding::new(Hook::new(name), fault.0, fault.1.to_string()))
    };
    MAPS.into_iter().filter_map(finding).collect()
}

fn packet_findings(dirs: &PinDirs, names: &mut Names) -> Result<Vec<Finding>, KernelError> {
    let entries = match open_pin(dirs, &object::shapes()?, object::DEVICES, Access::Read) {
        Ok(entries) => entries,
        // Said already.
        Err(_) => return Ok(Vec::new()),
    };
    let failed = |call| move |source| KernelError::Call { object: "netlink", call, source };
    let there = crate::kernel::sys::devices().map_err(failed("RTM_GETLINK"))?;
    let xdp = xdp_programs().map_err(failed("RTM_GETLINK"))?;
    let mut tc = Tc::open().map_err(failed("socket"))?;
    let mut found = Vec::new();
    for attachment in packets::attached(&dirs.links, &entries)? {
        // What is left of a device that is gone does no harm, and goes at the agent's next choice.
        if there.iter().any(|device| device.index == attachment.device) {
            found.extend(devices::look(&dirs.links, &attachment, &mut tc, names));
            found.extend(devices::xdp(attachment.device, &xdp, names));
        }
    }
    Ok(found)
}
