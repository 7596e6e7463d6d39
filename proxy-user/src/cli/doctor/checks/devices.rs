//! The packet programs: whether they are on the devices that traffic from outside comes by.

use super::{
    faults::{self, Meaning},
    some,
};
use crate::{
    cli::doctor::{
        finding::{Check, State},
        subject::Subject,
    },
    kernel::{
        AttachedBy, DeviceAttachment, PinnedMaps, sys,
        watchman::{Fault, Finding},
    },
    model::Device,
    select::select_devices,
};
use serde_json::json;
use std::{fs, io};

/// Looks at the devices of this process's network namespace; gives the names of those that packets are translated on,
/// or are to be.
pub fn devices(subject: &Subject, maps: Option<&PinnedMaps>, found: &[Finding]) -> (Check, Vec<String>) {
    let mut check = Check::new("devices");
    let Some(maps) = maps else {
        check.see("not looked at: there are no maps, so no program of this pin path can serve");
        return (check, Vec::new());
    };
    let mut concerned = Vec::new();
    if subject.agent_pid().is_some_and(|pid| is_elsewhere(pid).unwrap_or(false)) {
        check.find(
            (State::Unknown, "other-network-namespace"),
            "the agent runs in another network namespace than this process",
            "devices and sysctls are those of this process's namespace, not the node's as the agent sees it",
            "run it where the agent runs: nsenter --net=/proc/$(pgrep -xo shunt)/ns/net shunt doctor",
        );
    }
    match (sys::devices(), maps.attached_devices()) {
        (Ok(there), Ok(attached)) => concerned = judge(&mut check, subject, &there, &attached),
        (Err(error), _) => check.unseen("devices", "devices", &error),
        (_, Err(error)) => check.unseen("devices", "what is attached to devices", &error),
    }
    let faults: Vec<_> = found.iter().filter(|finding| finding.hook.device.is_some()).collect();
    faults::note(&mut check, &faults, faults::usual, |fault| meaning(fault, subject));
    (check, concerned)
}

fn meaning(fault: Fault, subject: &Subject) -> Meaning {
    let untranslated =
        "what arrives there for NodePorts, external addresses and load balancers is not translated";
    let look = "look whose it is: bpftool net show; whoever made it can attach it after Shunt's".to_owned();
    let (id, why, remedy) = match fault {
        Fault::Missing => ("device-programs-missing", untranslated, start(subject)),
        Fault::Detached => ("device-programs-detached", untranslated, start(subject)),
        Fault::Ineffective => ("device-programs-ineffective", untranslated, start(subject)),
        Fault::Replaced => ("device-program-replaced", untranslated, start(subject)),
        Fault::ForeignBefore | Fault::Blocked => {
            ("device-program-before", "it may take packets that are for Services", look)
        }
        Fault::ForeignAfter => ("device-program-after", "it sees packets as Shunt has translated them", look),
        Fault::Xdp => ("device-xdp", "it may drop or send on packets that are for Services", look),
        _ => ("devices-unknown", "what cannot be looked at may be wrong", "sudo shunt doctor".to_owned()),
    };
    Meaning { id, why, remedy }
}

fn start(subject: &Subject) -> String {
    if subject.is_held() {
        "an agent that runs attaches them within seconds; if not, look at its log for what the kernel says"
            .to_owned()
    } else {
        format!("start the agent, which attaches them:\n{}", subject.restart())
    }
}

/// Whether a process is in another network namespace.
fn is_elsewhere(pid: u32) -> io::Result<bool> {
    let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net"));
    Ok(of(&pid.to_string())? != of("self")?)
}

fn judge(
    check: &mut Check,
    subject: &Subject,
    there: &[Device],
    attached: &[DeviceAttachment],
) -> Vec<String> {
    let name =
        |index: u32| there.iter().find(|device| device.index == index).map(|device| device.name.as_str());
    // A device that is gone has left a trace that the next round removes.
    let present: Vec<_> = attached.iter().filter_map(|at| Some((name(at.device)?, at))).collect();
    for (name, at) in &present {
        let by = at.by.map_or("nothing", |by| match by {
            AttachedBy::Tcx => "tcx",
            AttachedBy::Clsact => "clsact",
        });
        let state = if at.is_effective() { "in effect" } else { "NOT in effect" };
        check.see(format!("{name}: {state}, by {by}"));
    }
    let documents = present
        .iter()
        .map(|(name, at)| json!({"device": name, "index": at.device, "effective": at.is_effective()}));
    check.fact("devices", documents.collect::<Vec<_>>());
    // Addresses of the Node object decide what the programs are told, not which devices are chosen.
    let chosen = subject.packets.as_ref().map(|rules| select_devices(there, rules, &[]));
    let wanted: Vec<_> = chosen.iter().flatten().map(|device| device.name.as_str()).collect();
    check.fact("wanted", chosen.is_some().then(|| wanted.clone()));
    let without: Vec<_> =
        wanted.iter().filter(|wanted| !present.iter().any(|(name, _)| name == *wanted)).collect();
    if !without.is_empty() {
        check.find(
            (State::Degraded, "device-without-programs"),
            format!("no packet programs are on {}", some(&without)),
            "what arrives there for NodePorts, external addresses and load balancers is not translated",
            start(subject),
        );
    }
    if present.is_empty() {
        check.see(match (&chosen, wanted.is_empty()) {
            (Some(_), true) => "none is wanted: packets are not translated",
            _ => "no device is attached to: packets are not translated",
        });
    }
    let mut concerned: Vec<_> =
        present.iter().map(|(name, _)| *name).chain(wanted).map(str::to_owned).collect();
    concerned.sort_unstable();
    concerned.dedup();
    concerned
}
