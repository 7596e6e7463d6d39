//! The socket programs: whether the kernel runs ours, and only ours, for the sockets of the cgroup.

use super::{
    cgroup_path,
    faults::{self, Meaning},
};
use crate::{
    cli::doctor::{
        finding::{Check, State},
        subject::Subject,
    },
    kernel::{
        Cgroup, PROGRAMS, PinnedMaps,
        sys::effective_programs,
        watchman::{Fault, Finding, Severity},
    },
};
use serde_json::json;
use std::os::fd::AsFd as _;

/// Programs without which connections to Services fail, and not only look odd.
const VITAL: [&str; 6] = ["connect4", "connect6", "sendmsg4", "sendmsg6", "recvmsg4", "recvmsg6"];

/// Looks at the programs of the cgroup.
pub fn sockets(subject: &Subject, maps: Option<&PinnedMaps>, found: &[Finding]) -> Check {
    let mut check = Check::new("sockets");
    let path = subject.cgroup.display();
    check.fact("cgroup", path.to_string());
    let cgroup = match Cgroup::open(&subject.cgroup) {
        Ok(cgroup) => cgroup,
        Err(error) => {
            check.see(format!("{path}: {error}"));
            if !subject.cgroup.exists() {
                check.find(
                    (State::Unknown, "no-such-cgroup"),
                    format!("no such cgroup: {path}"),
                    "which programs the node's sockets meet could not be looked at",
                    format!(
                        "name the agent's with --cgroup: shunt doctor --cgroup PATH{}",
                        subject.pin_path_option()
                    ),
                );
            } else if error.is_environment() {
                check.find(
                    (State::Critical, "no-cgroup2"),
                    error.to_string(),
                    "socket programs are attached to a cgroup v2 directory",
                    "name the agent's: shunt doctor --cgroup <PATH>",
                );
            } else {
                check.unseen("cgroup", &path.to_string(), &error);
            }
            return check;
        }
    };
    see(&mut check, subject, maps, &cgroup);
    let (cgroups, mut programs): (Vec<_>, Vec<_>) = found
        .iter()
        .filter(|finding| {
            finding.hook.name == "cgroup" || PROGRAMS.iter().any(|(name, _)| *name == finding.hook.name)
        })
        .partition(|finding| finding.hook.name == "cgroup");
    // An agent holds its links: without their pins its programs run on until it ends.
    let held: Vec<_> =
        programs.iter().copied().filter(|finding| is_held(finding, subject, &cgroup)).collect();
    programs.retain(|finding| !held.contains(finding));
    // Where there is no bpffs, that is said of all of them.
    if !held.is_empty() && !subject.is_unmounted {
        let names: Vec<_> = held.iter().map(|finding| finding.hook.name).collect();
        check.find(
            (State::Degraded, "links-not-pinned"),
            format!("links of {} are not pinned below {}", names.join(", "), subject.pin_path.display()),
            "their programs end with the process that holds them",
            "an agent that runs pins them within seconds; if not, start it again",
        );
    }
    let elsewhere = programs.iter().find(|finding| finding.fault == Fault::Elsewhere);
    let serves = elsewhere.and_then(|finding| served(subject, finding.hook.name));
    let state = |finding: &Finding| state(finding, subject);
    faults::note(&mut check, &programs, state, |fault| meaning(fault, subject, serves.as_deref()));
    faults::note(&mut check, &cgroups, state, |fault| meaning(fault, subject, None));
    check
}

/// What is in effect, for people and programs.
fn see(check: &mut Check, subject: &Subject, maps: Option<&PinnedMaps>, cgroup: &Cgroup) {
    let attached = match maps.map(|maps| maps.attached(cgroup)) {
        Some(Ok(attached)) => attached,
        Some(Err(error)) => {
            check.unseen("attachments", "what is attached", &error);
            Vec::new()
        }
        None => Vec::new(),
    };
    let running = in_effect(cgroup);
    let is_effective = |name: &str| match maps {
        Some(_) => attached.iter().any(|attachment| attachment.program == name && attachment.effective),
        None => running.contains(&name),
    };
    let effective = PROGRAMS.iter().filter(|(name, _)| is_effective(name)).count();
    check.see(format!(
        "{effective} of {} programs are in effect in {}",
        PROGRAMS.len(),
        subject.cgroup.display()
    ));
    let documents = PROGRAMS.iter().map(|(name, _)| {
        let attachment = attached.iter().find(|attachment| attachment.program == *name);
        json!({
            "program": name,
            "link": attachment.map(|attachment| attachment.link_id),
            "id": attachment.map(|attachment| attachment.program_id),
            "effective": is_effective(name),
        })
    });
    check.fact("programs", documents.collect::<Vec<_>>());
}

fn state(finding: &Finding, subject: &Subject) -> State {
    match (finding.fault, finding.severity) {
        (Fault::Elsewhere, _) if !subject.cgroup_is_known => State::Unknown,
        (Fault::Unknown, Severity::Degraded) => State::Unknown,
        (_, Severity::Broken) if VITAL.contains(&finding.hook.name) || finding.hook.name == "cgroup" => {
            State::Critical
        }
        _ => faults::usual(finding),
    }
}

fn meaning(fault: Fault, subject: &Subject, serves: Option<&str>) -> Meaning {
    let path = subject.cgroup.display();
    let unbalanced = "sockets that dial a Service meet the Service's address, where nobody listens";
    let again = if subject.is_held() {
        format!(
            "an agent that runs attaches them within seconds; if not, start it again:\n{}",
            subject.restart()
        )
    } else {
        format!("start the agent:\n{}", subject.restart())
    };
    let (id, why, remedy) = match fault {
        Fault::Missing => ("programs-missing", unbalanced, again),
        Fault::Detached => ("programs-detached", unbalanced, again),
        Fault::Ineffective => ("programs-ineffective", unbalanced, again),
        Fault::Replaced => ("program-replaced", unbalanced, again),
        Fault::Elsewhere => {
            let there = serves.unwrap_or("<the cgroup that they serve>");
            let remedy = format!(
                "start the agent with --cgroup {path}; if {there} is what is meant: shunt doctor --cgroup {there}{}",
                subject.pin_path_option()
            );
            ("wrong-cgroup", "only sockets below the cgroup that they are attached to are served", remedy)
        }
        Fault::NarrowCgroup => (
            "narrow-cgroup",
            "a container's own cgroup has none of the node's sockets",
            "mount the host's cgroup root into the container and name it: --cgroup /host/cgroup".to_owned(),
        ),
        Fault::Blocked => (
            "programs-blocked",
            unbalanced,
            "ask whoever attached it: bpftool cgroup tree; then start the agent again".to_owned(),
        ),
        Fault::ForeignBefore => (
            "foreign-program-before",
            "two that rewrite the same connections get in each other's way",
            format!(
                "look whose it is: bpftool cgroup tree {path}; switch that service proxy off, or attach it after Shunt's"
            ),
        ),
        Fault::ForeignAfter => (
            "foreign-program-after",
            "it sees endpoints' addresses in place of Services'",
            format!("look whose it is: bpftool cgroup tree {path}"),
        ),
        _ => ("attachments-unknown", "what cannot be looked at may be wrong", "sudo shunt doctor".to_owned()),
    };
    Meaning { id, why, remedy }
}

/// Whether a program without a pinned link runs all the same, held by the agent.
fn is_held(finding: &Finding, subject: &Subject, cgroup: &Cgroup) -> bool {
    if finding.fault != Fault::Missing || !subject.is_held() {
        return false;
    }
    in_effect(cgroup).contains(&finding.hook.name)
}

/// The names of our programs that the kernel runs for the cgroup's sockets, whoever holds them.
pub fn in_effect(cgroup: &Cgroup) -> Vec<&'static str> {
    let loaded: Vec<_> = aya::programs::loaded_programs().flatten().collect();
    let runs = |name: &str, kind| {
        let ids = effective_programs(cgroup.as_fd(), kind).unwrap_or_default();
        loaded.iter().any(|program| ids.contains(&program.id()) && program.name() == name.as_bytes())
    };
    PROGRAMS.iter().filter(|(name, kind)| runs(name, *kind)).map(|(name, _)| *name).collect()
}

/// The cgroup that a program is attached to.
fn served(subject: &Subject, program: &str) -> Option<String> {
    let id = cgroup_path::of_link(&subject.pin_path, program)?;
    Some(cgroup_path::of(id).map_or_else(|| format!("cgroup {id}"), |path| path.display().to_string()))
}
