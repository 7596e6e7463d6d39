//! The agent: whether one runs, whether it does its work, and how old what it has done is.

use crate::cli::doctor::{
    finding::{Check, State},
    health::{self, Health},
    subject::Subject,
};
use crate::kernel::{Holder, LockState, PinnedMaps};
use serde_json::json;
use std::{fs, io, net::SocketAddr};

/// Looks at the process that holds the pin path.
pub fn agent(subject: &Subject, maps: Option<&PinnedMaps>) -> Check {
    let mut check = Check::new("agent");
    let _ = maps;
    let holder = match &subject.lock {
        Ok(LockState::Held(holder)) => holder.as_ref(),
        Ok(LockState::Free) => return without(check, "nobody holds the pin path"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return without(check, "there is no pin path that one could hold");
        }
        Err(error) => {
            check.see(format!("unknown: {error}"));
            check.unseen("lock", "who holds the pin path", error);
            return check;
        }
    };
    check.fact("running", true);
    check.fact("pid", holder.map(|holder| holder.pid));
    match holder {
        Some(holder) => judge_process(&mut check, holder),
        None => check.see("runs in another PID namespace: who holds the pin path has no number here"),
    }
    if let Some(address) = subject.healthz {
        judge_health(&mut check, address);
    } else {
        check.see("answers no probes: it was told to listen nowhere, or its command line cannot be read");
    }
    check
}

fn without(mut check: Check, why: &str) -> Check {
    check.see(format!("none runs: {why}"));
    check.fact("running", false);
    check.find(
        (State::Degraded, "no-agent"),
        format!("no agent runs: {why}"),
        "what is programmed goes on serving, but endpoints that come and go are not noticed",
        "start it: kubectl -n kube-system rollout restart daemonset/shunt   or: systemctl start shunt",
    );
    check
}

fn judge_process(check: &mut Check, holder: &Holder) {
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
    if matches!(state, Some('T' | 't')) {
        check.find(
            (State::Degraded, "agent-stopped"),
            format!("the agent, process {pid}, is stopped (SIGSTOP, or a debugger)"),
            "it holds the pin path and does nothing: endpoints that come and go are not noticed, and no other agent can begin",
            format!("kill -CONT {pid}   or end it: kill -KILL {pid}, and start it again"),
        );
    }
}

/// The letter of proc(5) stat that says what a process does.
fn process_state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command stands in parentheses and may hold any character.
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

fn judge_health(check: &mut Check, address: SocketAddr) {
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
            check.find(
                (State::Degraded, "agent-silent"),
                format!("the agent does not answer at http://{address}/healthz: {error}"),
                "load balancers and kubelet take it for dead",
                "look at the agent's log for who has its port: ss -ltnp",
            );
        }
    }
}
