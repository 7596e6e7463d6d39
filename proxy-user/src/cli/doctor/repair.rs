//! `--repair`: maps that disagree are mended by the one who may write them, which is whoever holds the pin path.

use super::{
    args::DoctorArgs,
    finding::{Check, State},
    health,
    subject::Subject,
    truth::Truth,
};
use crate::{
    dataplane::Options,
    kernel::{Kernel, KernelError, LockState, Machine, PinnedMaps, lock_state},
};
use anyhow::{Context as _, bail};
use proxy_common::abi::AgentEntry;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// The longest that an agent may take to begin and end an audit: 100,000 Services take a second or two.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// The agent's counter of audits that it has ended.
const AUDITS: &str = "shunt_audits_total";

/// Mends the maps, and says what was done. `truth` is read where it is the doctor who writes.
pub fn repair(
    subject: &Subject,
    maps: &PinnedMaps,
    args: &DoctorArgs,
    truth: impl FnOnce() -> anyhow::Result<Option<Truth>>,
) -> Check {
    let mut check = Check::new("repair");
    let done = match subject.agent_pid() {
        Some(pid) => ask(pid, subject, maps),
        None if subject.is_held() => {
            Err(anyhow::anyhow!("the pin path is held by a process outside of this PID namespace"))
        }
        None => truth().and_then(|truth| write(subject, args, truth.as_ref())),
    };
    match done {
        Ok(line) => {
            check.fact("done", line.as_str());
            check.see(line);
        }
        Err(error) => {
            check.see(format!("not done: {error:#}"));
            check.find(
                (State::Degraded, "repair-failed"),
                format!("the maps were not mended: {error:#}"),
                "what disagrees goes on disagreeing",
                "end the agent and start it again: it writes what differs after its first complete list",
            );
        }
    }
    check
}

/// Asks the agent to compare its maps with what it knows, and waits until it has.
fn ask(pid: u32, subject: &Subject, maps: &PinnedMaps) -> anyhow::Result<String> {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).context("the agent's process id")?;
    let process = pidfd_open(id, PidfdFlags::empty()).with_context(|| format!("opening process {pid}"))?;
    // From here on the number may be another process's, and the descriptor is not.
    if !holds(pid, &subject.pin_path) {
        bail!("process {pid} does not hold the pin path any more; try again");
    }
    if !heeds(pid) {
        bail!(
            "process {pid} does not heed SIGUSR2: it is another version of the agent, or somebody else's program"
        );
    }
    let metrics = subject.agent.as_ref().and_then(|agent| agent.servers.metrics_address.0);
    let AgentEntry { synced, changed, .. } = maps.agent();
    let audits = metrics.and_then(audits);
    pidfd_send_signal(&process, Signal::USR2).with_context(|| format!("sending SIGUSR2 to process {pid}"))?;
    let end = Instant::now() + PATIENCE;
    let answered = || match (audits, metrics) {
        (Some(before), Some(address)) => self::audits(address).is_some_and(|now| now != before),
        _ => maps.agent().synced != synced,
    };
    while !answered() {
        if Instant::now() > end {
            bail!("process {pid} has not answered SIGUSR2 within {PATIENCE:?}");
        }
        thread::sleep(PAUSE);
    }
    let written =
        if maps.agent().changed == changed { "nothing was to be written" } else { "written what differed" };
    Ok(match audits {
        Some(_) => {
            format!("process {pid} has compared its maps with what it knows, and {written}")
        }
        None => format!(
            "process {pid} was asked to compare its maps with what it knows, and has synced since ({written}); whether it was that is \
             in its log alone: its metrics, which count it, could not be read"
        ),
    })
}

/// How many audits an agent has ended. AGENT does not tell them from syncs.
fn audits(address: SocketAddr) -> Option<u64> {
    sample(&health::get(address, "/metrics").ok()?.body, AUDITS)
}

fn sample(page: &str, name: &str) -> Option<u64> {
    page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

fn holds(pid: u32, pin_path: &Path) -> bool {
    matches!(lock_state(pin_path), Ok(LockState::Held(Some(holder))) if holder.pid == pid)
}

/// Whether a process catches SIGUSR2: it would end one that does not.
fn heeds(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    caught(&status).is_some_and(|caught| caught & 1 << (libc::SIGUSR2 - 1) != 0)
}

/// The signals that proc(5) status says are caught.
fn caught(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Takes the pin path, and writes what differs.
fn write(subject: &Subject, args: &DoctorArgs, truth: Option<&Truth>) -> anyhow::Result<String> {
    let truth = truth.context(
        "no agent runs, and what the maps should hold is not known: give --kubeconfig or --manifests",
    )?;
    if !truth.complete {
        bail!("not all manifests could be read");
    }
    let (limits, capacities) = args.run.capacities.on(&Machine::here());
    let options = Options {
        cgroup: subject.cgroup.clone(),
        pin_path: subject.pin_path.clone(),
        capacities,
        limits,
        ..Options::default()
    };
    // Which programs are attached stays as it is: whoever has none has another finding.
    let (maps, mut programs) = Kernel::open(&options)?.split();
    let (engine, report) = truth.program_growing(maps, limits, |maps, sizes| {
        let start = Instant::now();
        programs.grow(maps, sizes)?;
        Ok::<_, KernelError>(start.elapsed())
    })?;
    let ports = engine.usage().services;
    let (unplaced, from) = (engine.unplaced(), &truth.from);
    if let Some(first) = unplaced.first() {
        bail!(
            "of {}, {ports} service ports are written, and {} find no room in the maps, {} among them: {}",
            from,
            unplaced.len(),
            first.port,
            report.growth_failed.unwrap_or_else(|| "they may not grow".to_owned()),
        );
    }
    if let Some(full) = report.node_unplaced {
        bail!("what the node itself is told by {from} finds no room: {full}");
    }
    Ok(format!("no agent runs: the maps were made true to {from}, {ports} service ports"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_on_the_page() {
        let page = "# TYPE shunt_audits_total counter\nshunt_audits_total 3\nshunt_audit_writes_total 7\n";
        assert_eq!((sample(page, AUDITS), sample(page, "shunt_audits")), (Some(3), None));
    }

    #[test]
    fn a_signal_that_is_caught_is_known() {
        let status = "Name:\tshunt\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000a00\n";
        assert_eq!(caught(status), Some(0xa00));
        assert_eq!(caught("Name:\tx\n"), None);
    }
}
