//! The socket programs: whether the kernel runs ours, and only ours, for the sockets of the cgroup.

use super::{cgroup_path, some};
use crate::{
    cli::doctor::{
        finding::{Check, State},
        subject::Subject,
    },
    kernel::{Attachment, Cgroup, KernelError, PROGRAMS, PinnedMaps},
};
use serde_json::json;

/// Programs without which connections to Services fail, and not only look odd.
const VITAL: [&str; 6] = ["connect4", "connect6", "sendmsg4", "sendmsg6", "recvmsg4", "recvmsg6"];

/// Looks at the programs of the cgroup.
pub fn sockets(subject: &Subject, maps: Option<&PinnedMaps>) -> Check {
    let mut check = Check::new("sockets");
    let path = subject.cgroup.display();
    check.fact("cgroup", path.to_string());
    let cgroup = match Cgroup::open(&subject.cgroup) {
        Ok(cgroup) => cgroup,
        Err(error @ KernelError::NotCgroup2 { .. }) => {
            check.see(format!("{path} is no cgroup v2"));
            check.find(
                (State::Critical, "no-cgroup2"),
                error.to_string(),
                "socket programs are attached to a cgroup v2 directory",
                "name it: shunt doctor --cgroup <PATH>, the same as the agent's",
            );
            return check;
        }
        Err(error) => {
            check.see(format!("{path}: {error}"));
            check.unseen("cgroup", &path.to_string(), &error);
            return check;
        }
    };
    let Some(maps) = maps else {
        check.see("not looked at: there are no maps, so no program of this pin path can serve");
        return check;
    };
    match maps.attached(&cgroup) {
        Ok(found) => judge(&mut check, subject, &cgroup, &found),
        Err(error) => {
            check.see(format!("{path}: {error}"));
            check.unseen("attachments", "what is attached", &error);
        }
    }
    check
}

fn judge(check: &mut Check, subject: &Subject, cgroup: &Cgroup, found: &[Attachment]) {
    let path = subject.cgroup.display();
    let effective = found.iter().filter(|attachment| attachment.effective).count();
    check.see(format!("{effective} of {} programs are in effect in {path}", PROGRAMS.len()));
    let of = |name: &str| found.iter().find(|attachment| attachment.program == name);
    let documents = PROGRAMS.iter().map(|(name, _)| {
        let attachment = of(name);
        json!({
            "program": name,
            "link": attachment.map(|attachment| attachment.link_id),
            "id": attachment.map(|attachment| attachment.program_id),
            "effective": attachment.is_some_and(|attachment| attachment.effective),
        })
    });
    check.fact("programs", documents.collect::<Vec<_>>());
    let elsewhere = found.iter().find(|attachment| {
        !attachment.effective && attachment.cgroup_id != 0 && attachment.cgroup_id != cgroup.id()
    });
    if let Some(attachment) = elsewhere {
        let id = attachment.cgroup_id;
        let there =
            cgroup_path::of(id).map_or_else(|| format!("cgroup {id}"), |path| path.display().to_string());
        check.find(
            (State::Critical, "wrong-cgroup"),
            format!("the programs are attached to {there}, not to {path}"),
            format!("only sockets below {there} are served"),
            format!(
                "start the agent with --cgroup {path}; if {there} is meant: shunt doctor --cgroup {there}"
            ),
        );
        return;
    }
    let missing: Vec<_> = PROGRAMS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !of(name).is_some_and(|attachment| attachment.effective))
        .collect();
    if !missing.is_empty() {
        let vital = missing.iter().any(|name| VITAL.contains(name));
        let restart = "start the agent again: it attaches what is missing";
        check.find(
            (if vital { State::Critical } else { State::Degraded }, "programs-detached"),
            format!(
                "{} of {} programs are not in effect in {path}: {}",
                missing.len(),
                PROGRAMS.len(),
                some(&missing)
            ),
            "sockets that dial a Service meet the Service's address, where nobody listens",
            if subject.is_held() {
                format!("an agent that runs attaches them within seconds; if not, {restart}")
            } else {
                restart.to_owned()
            },
        );
    }
}
