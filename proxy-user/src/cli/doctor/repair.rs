//! `--repair`: maps that disagree are mended by the one who may write them, which is whoever holds the pin path.

use super::{
    finding::{Check, State},
    subject::Subject,
    truth::Truth,
};
use crate::{
    dataplane::Options,
    kernel::{Kernel, PinnedMaps},
    writer::MapReader as _,
};
use anyhow::{Context as _, bail};
use proxy_common::abi::AgentEntry;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// The longest that an agent may take to begin and end an audit: 100,000 Services take a second or two.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

/// Mends the maps, and says what was done.
pub fn repair(subject: &Subject, truth: Option<&Truth>, maps: &PinnedMaps) -> Check {
    let mut check = Check::new("repair");
    let done = match subject.agent_pid() {
        Some(pid) => ask(pid, maps),
        None if subject.is_held() => {
            Err(anyhow::anyhow!("the pin path is held by a process outside of this PID namespace"))
        }
        None => write(subject, truth),
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
fn ask(pid: u32, maps: &PinnedMaps) -> anyhow::Result<String> {
    if !heeds(pid) {
        bail!(
            "process {pid} does not heed SIGUSR2: it is another version of the agent, or somebody else's program"
        );
    }
    let AgentEntry { synced: before, changed, .. } = maps.agent();
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).context("the agent's process id")?;
    kill_process(id, Signal::USR2).with_context(|| format!("sending SIGUSR2 to process {pid}"))?;
    let end = Instant::now() + PATIENCE;
    while maps.agent().synced == before {
        if Instant::now() > end {
            bail!("process {pid} has not answered SIGUSR2 within {PATIENCE:?}");
        }
        thread::sleep(PAUSE);
    }
    let written =
        if maps.agent().changed == changed { "nothing was to be written" } else { "written what differed" };
    Ok(format!("process {pid} has compared its maps with what it knows, and {written}"))
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
fn write(subject: &Subject, truth: Option<&Truth>) -> anyhow::Result<String> {
    let truth = truth.context(
        "no agent runs, and what the maps should hold is not known: give --kubeconfig or --manifests",
    )?;
    if !truth.complete {
        bail!("not all manifests could be read");
    }
    let options =
        Options { cgroup: subject.cgroup.clone(), pin_path: subject.pin_path.clone(), ..Options::default() };
    // Programs are left as they are: whoever has none attached has another finding.
    let (maps, _programs) = Kernel::open(&options)?.split();
    let engine = truth.program(maps)?;
    let ports = engine.writer().capacities().services.min(engine.usage().services);
    Ok(format!("no agent runs: the maps were made true to {}, {ports} service ports", truth.from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_caught_is_known() {
        let status = "Name:\tshunt\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000a00\n";
        assert_eq!(caught(status), Some(0xa00));
        assert_eq!(caught("Name:\tx\n"), None);
    }
}
