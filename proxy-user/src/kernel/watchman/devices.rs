//! The packet programs of one device: running, and who else sees its packets.

use super::finding::{Fault, Finding, Hook};
use super::names::Names;
use super::order::Neighbours;
use crate::kernel::packets::{AttachedBy, DeviceAttachment, PacketHook, filter_name};
use crate::kernel::sys::{Filter, Tc, TcxProgram, Xdp, tcx_programs};
use std::io;
use std::path::Path;

/// What the kernel runs at one hook of a device, in the order in which it runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Running {
    /// By tcx, which comes first. None on a kernel that has no tcx.
    pub tcx: Vec<TcxProgram>,
    /// By filters of a clsact qdisc.
    pub filters: Vec<Filter>,
}

impl Running {
    /// Asks for it. `tc` is asked for filters if it is given.
    ///
    /// # Errors
    /// Of BPF_PROG_QUERY or RTM_GETTFILTER; ENODEV: no such device.
    pub fn read(device: u32, hook: PacketHook, tc: Option<&mut Tc>) -> io::Result<Self> {
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

    /// Those of others, in sentences.
    fn foreign(&self, hook: Hook, by: AttachedBy, own: u32, filter: &str, names: &mut Names) -> Vec<Finding> {
        let order: Vec<u32> = self.tcx.iter().map(|program| program.program_id).collect();
        let (before, after) = match by {
            AttachedBy::Tcx => {
                let neighbours = Neighbours::of(&order, |id| id == own);
                (neighbours.before, neighbours.after)
            }
            AttachedBy::Clsact => (order, Vec::new()),
        };
        let mut found: Vec<_> = before.into_iter().map(|id| Self::before(hook, &names.text(id))).collect();
        for id in after {
            let program = names.text(id);
            found.push(Finding::new(hook, Fault::ForeignAfter, format!("{program} runs after it")));
        }
        // Filters run after tcx, whatever their priority, so only where ours is a filter can others come before it.
        if by == AttachedBy::Clsact {
            let others = self.filters.iter().take_while(|other| other.name.as_deref() != Some(filter));
            found.extend(others.map(|other| Self::before(hook, &filter_text(other, names))));
        }
        found
    }

    fn before(hook: Hook, who: &str) -> Finding {
        let text =
            format!("{who} runs before it: what that drops, takes or sends elsewhere never comes to Shunt");
        Finding::new(hook, Fault::ForeignBefore, text)
    }
}

fn filter_text(filter: &Filter, names: &mut Names) -> String {
    let who = match (&filter.name, filter.program_id) {
        (Some(name), Some(id)) => format!("{name} ({})", names.text(id)),
        (Some(name), None) => name.clone(),
        (None, _) => "a filter that is no program".to_owned(),
    };
    format!("{who} of priority {}", filter.priority)
}

/// Looks at a device that packets are to be translated on. `own` are the ids of the programs that should run, egress and
/// ingress, where they are known; else the names of those that do are compared.
pub fn look(
    links: &Path,
    attachment: &DeviceAttachment,
    xdp: &[Xdp],
    tc: &mut Tc,
    names: &mut Names,
) -> Vec<Finding> {
    let device = attachment.device;
    let mut found = Vec::new();
    for hook in PacketHook::BOTH {
        let at = Hook::on(hook.program(), device);
        let (Some(own), Some(by)) = (attachment.program(hook), attachment.by) else {
            found.push(Finding::new(
                at,
                Fault::Missing,
                "it is not attached, so the device's packets are not translated both ways",
            ));
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
            Err(error) => found.push(Finding::new(at, Fault::Unknown, format!("BPF_PROG_QUERY: {error}"))),
        }
    }
    if attachment.entry.is_none() {
        found.push(Finding::new(
            Hook::on("DEVICES", device),
            Fault::Missing,
            "the programs are not told of the device, so they let its packets pass untranslated",
        ));
    }
    found.extend(xdp.iter().filter(|xdp| xdp.device == device).map(|xdp| {
        let program = names.text(xdp.program_id);
        Finding::new(
            Hook::on("ingress", device),
            Fault::Xdp,
            format!(
                "{program} sees packets before it by XDP: what that drops or sends back never comes to Shunt"
            ),
        )
    }));
    found
}
