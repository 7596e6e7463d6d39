//! Whether what kube-proxy left may go: it is what routes Services until something else does.

use super::args::CleanupArgs;
use crate::{
    cli::doctor::options_of,
    kernel::{
        Cgroup, Holder, Kernel, Leftover, LockState, PROGRAMS, PinnedMaps, Remark, Removal, Tool, Trace,
        cgroup2_mount_point, kube_proxy, kube_proxy_processes, legacy_lock, lock_state, sys,
    },
    select::{PacketDevices, select_devices},
    view::decode,
};
use proxy_common::abi::AgentFlags;
use std::path::PathBuf;

/// Every reason against it, as a sentence.
pub fn objections(args: &CleanupArgs, found: &Removal) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(running(args));
    if args.shunt {
        reasons.push("Shunt is to go too, so that nothing here would route Services".to_owned());
    } else if let Err(reason) = serving(args) {
        reasons.push(format!("Shunt does not serve here ({reason}), so that nothing would route Services"));
    }
    let is_legacy = |trace: &Trace| {
        matches!(trace, Trace::Chain { tool: Tool::Legacy, .. } | Trace::Rule { tool: Tool::Legacy, .. })
    };
    if found.traces.iter().any(is_legacy) {
        reasons.extend(legacy_lock().err().map(|error| error.to_string()));
    }
    let last = found.remarks.iter().filter(|remark| matches!(remark, Remark::LastUser(_)));
    reasons.extend(last.map(ToString::to_string));
    reasons
}

/// Whether kube-proxy runs: by its processes, which a container may not see, and by its ports, which an agent of ours has
/// while it runs.
fn running(args: &CleanupArgs) -> Option<String> {
    if let Some(id) = kube_proxy_processes().first() {
        return Some(format!("kube-proxy runs here as process {id}, and would make all of it again"));
    }
    if matches!(lock_state(&args.pins.pin_path), Ok(LockState::Held(_))) {
        return None;
    }
    let found = kube_proxy(true).ok()?;
    let port =
        found.iter().find_map(|found| if let Leftover::Port(port) = found { Some(port) } else { None })?;
    Some(format!("port {port} is in use, by kube-proxy as a rule, which would make all of it again"))
}

/// Whether an agent has programmed all that the cluster holds, and every program for sockets is in effect, and those of
/// packets are where they are wanted.
fn serving(args: &CleanupArgs) -> Result<(), String> {
    let maps = Kernel::read_only(&args.pins.pin_path).map_err(|error| error.to_string())?;
    // What an agent has left serves, but nobody would hear of what changes.
    let holder = match lock_state(&args.pins.pin_path).map_err(|error| error.to_string())? {
        LockState::Held(holder) => holder,
        LockState::Free => return Err("no agent runs".to_owned()),
    };
    if !maps.agent().flags.contains(AgentFlags::COMPLETE) {
        return Err("the agent has not programmed all that is in the cluster yet".to_owned());
    }
    if decode(&maps).map_err(|error| error.to_string())?.is_empty() {
        return Err("the agent knows of no Service".to_owned());
    }
    let path =
        args.cgroup.clone().or_else(cgroup2_mount_point).unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup"));
    let cgroup = Cgroup::open(&path).map_err(|error| error.to_string())?;
    let found = maps.attached(&cgroup).map_err(|error| error.to_string())?;
    let missing = PROGRAMS.iter().find(|(program, _)| {
        !found.iter().any(|attached| attached.program == *program && attached.effective)
    });
    match missing {
        Some((program, _)) => Err(format!("program {program} is not in effect")),
        None => on_devices(&maps, holder.as_ref()),
    }
}

/// Whether packets are translated anywhere, if they are to be: by the agent's command line, and where that cannot be read,
/// as without options.
fn on_devices(maps: &PinnedMaps, holder: Option<&Holder>) -> Result<(), String> {
    let agent = holder.and_then(|holder| options_of(holder.pid));
    let rules = agent.map_or_else(PacketDevices::default, |agent| agent.packets.devices());
    let there = sys::devices().map_err(|error| error.to_string())?;
    let wanted = select_devices(&there, &rules, &[]);
    let attached = maps.attached_devices().map_err(|error| error.to_string())?;
    let serves =
        there.iter().any(|device| attached.iter().any(|at| at.device == device.index && at.is_effective()));
    match wanted.first() {
        Some(device) if !serves => {
            Err(format!("no device's packets are translated, and those of {} should be", device.name))
        }
        _ => Ok(()),
    }
}
