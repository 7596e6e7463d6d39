//! Whether what kube-proxy left may go: it is what routes Services until something else does.

use super::args::CleanupArgs;
use crate::kernel::{
    Cgroup, Kernel, Leftover, LockState, PROGRAMS, Remark, cgroup2_mount_point, kube_proxy,
    kube_proxy_processes, lock_state,
};
use std::path::PathBuf;

/// Every reason against it, as a sentence.
pub fn objections(args: &CleanupArgs, remarks: &[Remark]) -> Vec<String> {
    let mut reasons = Vec::new();
    reasons.extend(running(args));
    if args.shunt {
        reasons.push("Shunt is to go too, so that nothing here would route Services".to_owned());
    } else if let Err(reason) = serving(args) {
        reasons.push(format!("Shunt does not serve here ({reason}), so that nothing would route Services"));
    }
    let last = remarks.iter().filter(|remark| matches!(remark, Remark::LastUser(_)));
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

/// Whether every program for sockets is in effect.
fn serving(args: &CleanupArgs) -> Result<(), String> {
    let maps = Kernel::read_only(&args.pins.pin_path).map_err(|error| error.to_string())?;
    let path =
        args.cgroup.clone().or_else(cgroup2_mount_point).unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup"));
    let cgroup = Cgroup::open(&path).map_err(|error| error.to_string())?;
    let found = maps.attached(&cgroup).map_err(|error| error.to_string())?;
    let missing = PROGRAMS.iter().find(|(program, _)| {
        !found.iter().any(|attached| attached.program == *program && attached.effective)
    });
    missing.map_or(Ok(()), |(program, _)| Err(format!("program {program} is not in effect")))
}
