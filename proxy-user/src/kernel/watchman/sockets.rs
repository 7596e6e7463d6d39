//! The socket programs: attached where they should be, running, and who else runs there.

use super::finding::{Fault, Finding, Hook, Severity};
use super::names::Names;
use super::order::Neighbours;
use crate::kernel::attach::{PROGRAMS, ProgramName};
use crate::kernel::cgroup::Cgroup;
use crate::kernel::sys::{CgroupLink, effective_programs, own_programs};
use aya_obj::generated::bpf_attach_type;
use aya_obj::generated::{BPF_F_ALLOW_MULTI, BPF_F_ALLOW_OVERRIDE};
use std::io;
use std::os::fd::AsFd;

/// Looks at every socket program. `link` says what its link is, if it has one; `own` the id of the program that should run,
/// where that is known: where not, its name is compared.
pub fn look(
    cgroup: &Cgroup,
    names: &mut Names,
    mut link: impl FnMut(ProgramName) -> io::Result<Option<CgroupLink>>,
    own: impl Fn(ProgramName) -> Option<u32>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, attach_type) in PROGRAMS {
        let hook = Hook::new(name);
        let unknown = |what: &str, error| Finding::new(hook, Fault::Unknown, format!("{what}: {error}"));
        let order = match effective_programs(cgroup.as_fd(), attach_type) {
            Ok(order) => order,
            Err(error) => {
                found.push(unknown("BPF_PROG_QUERY", error));
                continue;
            }
        };
        let link = match link(name) {
            Ok(link) => link,
            Err(error) => {
                found.push(unknown("its link", error));
                continue;
            }
        };
        let attached = state(name, attach_type, link, cgroup, &order, names, own(name));
        let runs = attached.is_none();
        found.extend(attached);
        if !runs {
            found.extend(blocked(hook, attach_type, cgroup, names));
        }
        found.extend(foreign(hook, &order, link.map(|link| link.program_id), runs, names));
    }
    found
}

/// What is the matter with the attachment of one program.
fn state(
    name: ProgramName,
    attach_type: bpf_attach_type,
    link: Option<CgroupLink>,
    cgroup: &Cgroup,
    order: &[u32],
    names: &mut Names,
    own: Option<u32>,
) -> Option<Finding> {
    let finding = |fault, text: String| Some(Finding::new(Hook::new(name), fault, text));
    let Some(link) = link.filter(|link| link.attach_type == attach_type as u32) else {
        return finding(Fault::Missing, "it is not attached: no link of it is pinned".into());
    };
    let id = link.link_id;
    if link.cgroup_id == 0 {
        return finding(Fault::Detached, format!("link {id} was detached, or its cgroup was removed"));
    }
    if link.cgroup_id != cgroup.id() {
        let (is, wanted) = (link.cgroup_id, cgroup.id());
        return finding(
            Fault::Elsewhere,
            format!("link {id} serves the cgroup with id {is}, not the one that is wanted, {wanted}"),
        );
    }
    let is_own = match own {
        Some(own) => own == link.program_id,
        None => names.get(link.program_id).is_none_or(|program| program.name == name),
    };
    if !is_own {
        let program = names.text(link.program_id);
        return finding(Fault::Replaced, format!("link {id} runs {program} in its place"));
    }
    if !order.contains(&link.program_id) {
        return finding(
            Fault::Ineffective,
            format!("link {id} is attached, and the kernel does not run its program"),
        );
    }
    None
}

/// Who keeps ours from being attached: cgroup_bpf_attach of kernel/bpf/cgroup.c refuses a second program beside one that
/// was attached without BPF_F_ALLOW_MULTI, and one below a program that may not be overridden.
fn blocked(hook: Hook, attach_type: bpf_attach_type, cgroup: &Cgroup, names: &mut Names) -> Option<Finding> {
    for (depth, place) in cgroup.and_ancestors().enumerate() {
        let (flags, ids) = own_programs(place.as_fd(), attach_type).ok()?;
        let Some(id) = ids.first() else { continue };
        if flags & BPF_F_ALLOW_MULTI != 0 || (depth > 0 && flags & BPF_F_ALLOW_OVERRIDE != 0) {
            return None;
        }
        let program = names.text(*id);
        let how =
            if flags & BPF_F_ALLOW_OVERRIDE != 0 { "with BPF_F_ALLOW_OVERRIDE" } else { "without flags" };
        let place = if depth == 0 { "the cgroup itself" } else { "a cgroup above" };
        return Some(Finding::new(
            hook,
            Fault::Blocked,
            format!(
                "{program} is attached to {place} {how}, so the kernel refuses every other program here: whoever made it \
                 must attach it with BPF_F_ALLOW_MULTI or by a link"
            ),
        ));
    }
    None
}

fn foreign(hook: Hook, order: &[u32], own: Option<u32>, runs: bool, names: &mut Names) -> Vec<Finding> {
    let mut found = Vec::new();
    let neighbours = Neighbours::of(order, |id| Some(id) == own);
    let rewrites = matches!(hook.name, "connect4" | "connect6" | "sendmsg4" | "sendmsg6");
    for id in neighbours.before.into_iter().filter(|_| runs) {
        let (program, same) = (names.text(id), names.name(id) == hook.name);
        let text = if same {
            format!(
                "{program} runs before it, and is called as Shunt's: another one's, with a pin path of its own, or by a link that was moved aside"
            )
        } else {
            format!("{program} runs before it: what that points elsewhere or refuses, Shunt does not balance")
        };
        let mut finding = Finding::new(hook, Fault::ForeignBefore, text);
        if !rewrites {
            finding.severity = Severity::Note;
        }
        found.push(finding);
    }
    for id in neighbours.after {
        let program = names.text(id);
        found.push(Finding::new(
            hook,
            Fault::ForeignAfter,
            format!("{program} runs after it, and sees the endpoint's address in place of the Service's"),
        ));
    }
    found
}
