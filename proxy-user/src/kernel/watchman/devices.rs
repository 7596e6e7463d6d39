//! The packet programs of one device: running, and who else sees its packets.

use super::finding::{Fault, Finding, Hook};
use super::names::Names;
use super::order::Neighbours;
use crate::kernel::packets::{AttachedBy, DeviceAttachment, PacketHook, PacketPrograms, filter_name};
use crate::kernel::sys::{Filter, Tc, TcxProgram, Xdp, tcx_programs};
use std::io;
use std::path::Path;

/// What the kernel runs at one hook of a device, in the order in which it runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Running {
    /// By tcx, which comes first. None on a kernel that has no tcx.
    tcx: Vec<TcxProgram>,
    /// By filters of a clsact qdisc, where they were asked for.
    filters: Vec<Filter>,
}

impl Running {
    fn read(device: u32, hook: PacketHook, tc: Option<&mut Tc>) -> io::Result<Self> {
        let tcx = match tcx_programs(device, hook.tcx()) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Vec::new(),
            read => read?,
        };
        let filters = match tc {
            Some(tc) => {
                tc.filters(device, hook.tc())?.into_iter().filter(|filter| filter.handle != 0).collect()
            }
            None => Vec::new(),
        };
        Ok(Self { tcx, filters })
    }

    /// Programs of others; `own` is the id of ours, and `filter` the name of our filter.
    fn foreign(&self, hook: Hook, by: AttachedBy, own: u32, filter: &str, names: &mut Names) -> Vec<Finding> {
        let order: Vec<u32> = self.tcx.iter().map(|program| program.program_id).collect();
        let (before, after) = match by {
            AttachedBy::Tcx => {
                let neighbours = Neighbours::of(&order, |id| id == own);
                (neighbours.before, neighbours.after)
            }
            AttachedBy::Clsact => (order, Vec::new()),
        };
        let mut found: Vec<_> = before.into_iter().map(|id| before_ours(hook, &names.text(id))).collect();
        for id in after {
            let program = names.text(id);
            found.push(Finding::new(hook, Fault::ForeignAfter, format!("{program} runs after it")));
        }
        // Filters run after tcx, whatever their priority, so only where ours is a filter can others come before it.
        if by == AttachedBy::Clsact {
            let others = self.filters.iter().take_while(|other| other.name.as_deref() != Some(filter));
            found.extend(others.map(|other| before_ours(hook, &filter_text(other, names))));
        }
        found
    }
}

fn before_ours(hook: Hook, who: &str) -> Finding {
    let text =
        format!("{who} runs before it: what that drops, takes or sends elsewhere never comes to Shunt");
    Finding::new(hook, Fault::ForeignBefore, text)
}

fn filter_text(filter: &Filter, names: &mut Names) -> String {
    let who = match (&filter.name, filter.program_id) {
        (Some(name), Some(id)) => format!("{name} ({})", names.text(id)),
        (Some(name), None) => name.clone(),
        (None, _) => "a filter that is no program".to_owned(),
    };
    format!("{who} of priority {}", filter.priority)
}

/// Looks at a device from outside, by what is pinned. Of the programs that run there the names are compared.
pub fn look(links: &Path, attachment: &DeviceAttachment, tc: &mut Tc, names: &mut Names) -> Vec<Finding> {
    let device = attachment.device;
    let mut found = Vec::new();
    for hook in PacketHook::BOTH {
        let at = Hook::on(hook.program(), device);
        let (Some(own), Some(by)) = (attachment.program(hook), attachment.by) else {
            found.push(missing(at));
            continue;
        };
        let name = names.name(own);
        if !name.is_empty() && name != hook.program() {
            let program = names.text(own);
            found.push(Finding::new(at, Fault::Replaced, format!("{program} runs in its place")));
            continue;
        }
        match Running::read(device, hook, Some(tc)) {
            Ok(running) => found.extend(running.foreign(at, by, own, &filter_name(links, hook), names)),
            Err(error) => found.push(unknown(at, &error)),
        }
    }
    if attachment.entry.is_none() {
        found.push(unpublished(device));
    }
    found
}

/// Looks at a device that an agent keeps attached: `own` are the ids of its programs, in the order of
/// [`PacketHook::BOTH`]. Nothing is found on one that is gone.
pub fn check(
    packets: &PacketPrograms,
    device: u32,
    own: [u32; 2],
    tc: &mut Option<Tc>,
    names: &mut Names,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for (hook, own) in PacketHook::BOTH.into_iter().zip(own) {
        let at = Hook::on(hook.program(), device);
        let held = packets.held(device, hook);
        let filters = match (held, &mut *tc) {
            (Some(_), _) => None,
            (None, Some(tc)) => Some(tc),
            (None, tc) => match Tc::open() {
                Ok(opened) => Some(tc.insert(opened)),
                Err(error) => {
                    found.push(unknown(at, &error));
                    continue;
                }
            },
        };
        let running = match Running::read(device, hook, filters) {
            Ok(running) => running,
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Vec::new(),
            Err(error) => {
                // After an error the socket is in disorder.
                *tc = None;
                found.push(unknown(at, &error));
                continue;
            }
        };
        let filter = filter_name(packets.links(), hook);
        let (by, runs) = match held {
            Some(held) => {
                let program = running.tcx.iter().find(|program| program.link_id == held.id());
                (AttachedBy::Tcx, program.map(|program| program.program_id))
            }
            None => {
                let ours = running.filters.iter().find(|other| other.name.as_ref() == Some(&filter));
                (AttachedBy::Clsact, ours.map(|filter| filter.program_id.unwrap_or_default()))
            }
        };
        match runs {
            Some(id) if id == own => found.extend(running.foreign(at, by, own, &filter, names)),
            Some(id) => {
                let program = names.text(id);
                found.push(Finding::new(at, Fault::Replaced, format!("{program} ran in its place")));
            }
            None if by == AttachedBy::Tcx => {
                let text = "its link was detached, so the device's packets were not translated both ways";
                found.push(Finding::new(at, Fault::Detached, text));
            }
            None => found.push(missing(at)),
        }
    }
    match packets.is_published(device) {
        Ok(true) => {}
        Ok(false) => found.push(unpublished(device)),
        Err(error) => found.push(unknown(Hook::on("DEVICES", device), &error)),
    }
    found
}

/// XDP programs on a device.
pub fn xdp(device: u32, programs: &[Xdp], names: &mut Names) -> Vec<Finding> {
    let programs = programs.iter().filter(|xdp| xdp.device == device);
    let finding = |xdp: &Xdp| {
        let program = names.text(xdp.program_id);
        Finding::new(
            Hook::on("ingress", device),
            Fault::Xdp,
            format!(
                "{program} sees packets before it by XDP: what that drops or sends back never comes to Shunt"
            ),
        )
    };
    programs.map(finding).collect()
}

fn missing(at: Hook) -> Finding {
    Finding::new(
        at,
        Fault::Missing,
        "it is not attached, so the device's packets are not translated both ways",
    )
}

fn unpublished(device: u32) -> Finding {
    Finding::new(
        Hook::on("DEVICES", device),
        Fault::Missing,
        "the programs are not told of the device, so they let its packets pass untranslated",
    )
}

fn unknown(at: Hook, error: &io::Error) -> Finding {
    Finding::new(at, Fault::Unknown, format!("it cannot be found out what runs there: {error}"))
}
