//! `shunt cleanup`: removes what Shunt has on this node, or what kube-proxy left there.

mod args;
mod safe;

use super::exit::Usage;
use crate::kernel::{
    KernelError, LockState, OwnTrace, Remark, Removal, find_kube_proxy, find_own, foreign, lock_state,
    remove_all, remove_kube_proxy,
};
pub use args::{CLEANUP_EXAMPLES, CleanupArgs};
use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

/// Removes, or only names. Exit code 1 if something could not be removed.
///
/// # Errors
/// [`Usage`] where it is refused; then nothing was touched. Else of the call that failed.
pub fn cleanup(args: &CleanupArgs) -> anyhow::Result<ExitCode> {
    let mut whole = true;
    if args.shunt || !args.kube_proxy {
        // Before anything goes: the agent that holds it would go on without its programs.
        if let Ok(LockState::Held(holder)) = lock_state(&args.pins.pin_path) {
            let error = KernelError::Locked { path: args.pins.pin_path.clone(), holder };
            if !args.dry_run {
                return Err(Usage(error.to_string()).into());
            }
            tracing::warn!("{error}");
        }
    }
    if args.kube_proxy {
        whole &= of_kube_proxy(args)?;
    }
    if args.shunt || !args.kube_proxy {
        own(args)?;
    }
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is Shunt's. Says whether there was something: a wrong pin path looks like a clean node otherwise.
fn own(args: &CleanupArgs) -> anyhow::Result<()> {
    let path = args.pins.pin_path.display();
    let found = if args.dry_run { find_own(&args.pins.pin_path) } else { remove_all(&args.pins.pin_path) }?;
    list(args.dry_run, &found)?;
    for pin in foreign(&args.pins.pin_path)? {
        tracing::warn!(
            "{} stays: somebody else had put it in the place of a pin of Shunt's; it is yours to remove",
            pin.display()
        );
    }
    if found.is_empty() {
        tracing::warn!(
            "nothing is pinned at {path}: where an agent ran with another --pin-path, give that one"
        );
    } else if !args.dry_run {
        let pins = found.iter().filter(|trace| matches!(trace, OwnTrace::Link(_) | OwnTrace::Pin(_))).count();
        tracing::info!(
            "every program is detached, and every pin of Shunt's below {path} is removed ({pins})"
        );
    }
    Ok(())
}

/// What kube-proxy left. False if some of it could not be read or removed.
fn of_kube_proxy(args: &CleanupArgs) -> anyhow::Result<bool> {
    let found = find_kube_proxy();
    if !found.traces.is_empty() {
        let reasons = safe::objections(args, &found);
        for reason in reasons.iter().filter(|_| args.dry_run || args.force) {
            tracing::warn!("{reason}");
        }
        if !reasons.is_empty() && !args.dry_run && !args.force {
            let reasons = reasons.join("; ");
            return Err(Usage(format!("{reasons}: nothing was touched; --force does it all the same")).into());
        }
    }
    let Removal { mut traces, remarks, failures } =
        if args.dry_run { found } else { remove_kube_proxy(args.force) };
    traces.sort();
    list(args.dry_run, &traces)?;
    for remark in remarks.iter().filter(|remark| !matches!(remark, Remark::LastUser(_))) {
        tracing::warn!("{remark}");
    }
    for failure in &failures {
        tracing::error!("{}: {failure}", if args.dry_run { "not looked at" } else { "not removed" });
    }
    if traces.is_empty() && failures.is_empty() {
        tracing::info!("kube-proxy has left nothing in this network namespace");
    } else if failures.is_empty() && !args.dry_run {
        tracing::info!("all that kube-proxy left in this network namespace is removed");
    }
    Ok(failures.is_empty())
}

/// One line each.
fn list(dry_run: bool, traces: &[impl Display]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let done = if dry_run { "would remove" } else { "removed" };
    traces.iter().try_for_each(|trace| writeln!(out, "{done} {trace}"))
}
