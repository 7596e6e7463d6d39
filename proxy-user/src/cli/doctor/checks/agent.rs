//! The agent: whether one runs, whether it does its work, and how old what it has done is.

use crate::cli::{
    doctor::{
        finding::{Check, State},
        health::{self, Health},
        subject::Subject,
    },
    work::{Work, ago},
};
use crate::kernel::{Holder, LockState, PinnedMaps};
use serde_json::json;
use std::{fs, io, net::SocketAddr, time::Duration};

/// `--startup-spread`, where the agent's own is not known.
const SPREAD: Duration = Duration::from_secs(10);

/// The longest that a first list takes an API server that is well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at the process that holds the pin path.
pub fn agent(subject: &Subject, maps: Option<&PinnedMaps>, ports: usize) -> Check {
    let mut check = Check::new("agent");
    let work = maps.map(|maps| Work::now(&maps.agent()));
    let holder = match &subject.lock {
        Ok(LockState::Held(holder)) => holder.as_ref(),
        Ok(LockState::Free) => return without(check, subject, work.as_ref(), "nobody holds the pin path"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return without(check, subject, work.as_ref(), "there is no pin path that one could hold");
        }
        Err(error) => {
            check.see(format!("unknown: {error}"));
            check.unseen("lock", "who holds the pin path", error);
            return check;
        }
    };
    check.fact("running", true);
    check.fact("pid", holder.map(|holder| holder.pid));
    let mut is_stopped = false;
    match holder {
        Some(holder) => is_stopped = judge_process(&mut check, holder, work.as_ref()),
        None => check.see("runs in another PID namespace: who holds the pin path has no number here"),
    }
    if let Some(work) = &work {
        tell(&mut check, work);
        judge_work(&mut check, subject, work, ports);
    }
    if let Some(address) = subject.healthz {
        judge_health(&mut check, address, is_stopped);
    } else if subject.unread.is_none() {
        check.see("answers no probes: it was told to listen nowhere");
    }
    if let Some(why) = &subject.unread {
        check.see(format!("its options cannot be read: {why}"));
        check.find(
            (State::Unknown, "agent-options"),
            format!("the agent's options cannot be read: {why}"),
            "what it was told is not known, so cgroup, devices and probes are not judged by it",
            "mend what is named, which the agent's next start would refuse too; or give the doctor the agent's options",
        );
    }
    check
}

fn without(mut check: Check, subject: &Subject, work: Option<&Work>, why: &str) -> Check {
    check.see(format!("none runs: {why}"));
    check.fact("running", false);
    work.into_iter().for_each(|work| tell(&mut check, work));
    let since = work.and_then(Work::last).map(|age| format!("; the last one was at work {}", ago(age)));
    check.find(
        (State::Degraded, "no-agent"),
        format!("no agent runs: {why}{}", since.unwrap_or_default()),
        "what is programmed goes on serving, but endpoints that come and go are not noticed",
        format!("start it:\n{}", subject.restart()),
    );
    check
}

/// Whether it is stopped.
fn judge_process(check: &mut Check, holder: &Holder, work: Option<&Work>) -> bool {
    let Holder { pid, command } = holder;
    let state = process_state(*pid);
    check.fact("process_state", state.map(|state| state.to_string()));
    let shown = match state {
        Some('T' | 't') => "stopped",
        Some('Z' | 'X') => "ended",
        Some('D') => "in an uninterruptible wait",
        _ => "runs",
    };
    check.see(format!("process {pid} ({command}) {shown}"));
    let is_stopped = matches!(state, Some('T' | 't'));
    if is_stopped {
        check.find(
            (State::Degraded, "agent-stopped"),
            format!(
                "the agent, process {pid}, is stopped (SIGSTOP, or a debugger); {}",
                work.and_then(|work| work.changed).map_or_else(
                    || "it has changed nothing yet".to_owned(),
                    |age| format!("its last change was {}", ago(age))
                )
            ),
            "it holds the pin path and does nothing: endpoints that come and go are not noticed, and no other agent can begin",
            format!("kill -CONT {pid}   or end it: kill -KILL {pid}, and start it again"),
        );
    }
    is_stopped
}

/// An agent that has not got its first complete list.
fn judge_work(check: &mut Check, subject: &Subject, work: &Work, ports: usize) {
    let (None, Some(started)) = (work.listed, work.started) else { return };
    let spread = subject.agent.as_ref().map_or(SPREAD, |agent| agent.cluster.startup_spread.0);
    let severity = match (started > spread + PATIENCE, ports) {
        (false, _) => State::Notice,
        (true, 0) => State::Critical,
        (true, _) => State::Degraded,
    };
    let serves = match ports {
        0 => "nothing is programmed, and nothing will be before it".to_owned(),
        _ => format!(
            "{ports} service ports of a former agent serve meanwhile, as they were when that one ended"
        ),
    };
    check.find(
        (severity, "first-list-missing"),
        format!("the agent started {} and has not got its first complete list yet", ago(started)),
        serves,
        "look in the agent's log for why the API server does not answer: kubectl -n kube-system logs daemonset/shunt",
    );
}

/// Shows how old what the agent has done is.
fn tell(check: &mut Check, work: &Work) {
    check.see(work.to_string());
    for (fact, age) in [
        ("started_seconds", work.started),
        ("first_list_seconds", work.listed),
        ("last_sync_seconds", work.synced),
        ("last_change_seconds", work.changed),
    ] {
        check.fact(fact, age.map(|age| age.as_secs()));
    }
}

/// The letter of proc(5) stat that says what a process does.
fn process_state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command stands in parentheses and may hold any character.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn judge_health(check: &mut Check, address: SocketAddr, is_stopped: bool) {
    check.fact("healthz_address", address.to_string());
    match health::ask(address) {
        Ok(Health { code, body }) => {
            check.see(format!("http://{address}/healthz: {code} {body}"));
            check.fact("healthz", json!({"code": code, "body": body}));
            if code != 200 {
                check.find(
                    (State::Degraded, "agent-unhealthy"),
                    format!("/healthz answers {code}: {body}"),
                    "load balancers turn elsewhere: either changes have waited for the kernel for a minute, or this node is leaving the cluster",
                    "look at the agent's log: kubectl -n kube-system logs daemonset/shunt",
                );
            }
        }
        Err(error) => {
            check.see(format!("http://{address}/healthz: {error}"));
            check.fact("healthz", json!(null));
            // That is no news of a process that is stopped.
            if is_stopped {
                return;
            }
            check.find(
                (State::Degraded, "agent-silent"),
                format!("the agent does not answer at http://{address}/healthz: {error}"),
                "load balancers and kubelet take it for dead",
                "look at the agent's log for who has its port: ss -ltnp",
            );
        }
    }
}
