//! The agent: whether one runs, whether it does its work, and how old what it has done is.

use crate::cli::doctor::{
    finding::{Check, State},
    health::{self, Health},
    subject::Subject,
};
use crate::kernel::{Holder, LockState, PinnedMaps};
use proxy_common::abi::AgentEntry;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::{fs, io, net::SocketAddr, time::Duration};

/// `--startup-spread`, where the agent's own is not known.
const SPREAD: Duration = Duration::from_secs(10);

/// The longest that a first list takes an API server that is well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at the process that holds the pin path.
pub fn agent(subject: &Subject, maps: Option<&PinnedMaps>, ports: usize) -> Check {
    let mut check = Check::new("agent");
    let work = maps.map(|maps| Work::new(&maps.agent(), now()));
    let holder = match &subject.lock {
        Ok(LockState::Held(holder)) => holder.as_ref(),
        Ok(LockState::Free) => return without(check, work.as_ref(), "nobody holds the pin path"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return without(check, work.as_ref(), "there is no pin path that one could hold");
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
        Some(holder) => judge_process(&mut check, holder, work.as_ref()),
        None => check.see("runs in another PID namespace: who holds the pin path has no number here"),
    }
    if let Some(work) = &work {
        work.tell(&mut check);
        judge_work(&mut check, subject, work, ports);
    }
    if let Some(address) = subject.healthz {
        judge_health(&mut check, address);
    } else {
        check.see("answers no probes: it was told to listen nowhere, or its command line cannot be read");
    }
    check
}

fn without(mut check: Check, work: Option<&Work>, why: &str) -> Check {
    check.see(format!("none runs: {why}"));
    check.fact("running", false);
    work.into_iter().for_each(|work| work.tell(&mut check));
    let since =
        work.and_then(|work| work.last()).map(|age| format!("; the last one was at work {}", ago(age)));
    check.find(
        (State::Degraded, "no-agent"),
        format!("no agent runs: {why}{}", since.unwrap_or_default()),
        "what is programmed goes on serving, but endpoints that come and go are not noticed",
        "start it: kubectl -n kube-system rollout restart daemonset/shunt   or: systemctl start shunt",
    );
    check
}

fn judge_process(check: &mut Check, holder: &Holder, work: Option<&Work>) {
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
            format!(
                "the agent, process {pid}, is stopped (SIGSTOP, or a debugger); its last change was {}",
                work.and_then(|work| work.changed).map_or_else(|| "never".to_owned(), ago)
            ),
            "it holds the pin path and does nothing: endpoints that come and go are not noticed, and no other agent can begin",
            format!("kill -CONT {pid}   or end it: kill -KILL {pid}, and start it again"),
        );
    }
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

/// How old what the agent has done is; `None` for never.
#[derive(Debug)]
struct Work {
    started: Option<Duration>,
    listed: Option<Duration>,
    synced: Option<Duration>,
    changed: Option<Duration>,
}

impl Work {
    fn new(entry: &AgentEntry, now: u64) -> Self {
        let age = |at: u64| (at > 0).then(|| Duration::from_nanos(now.saturating_sub(at)));
        let AgentEntry { started, listed, synced, changed, .. } = *entry;
        Self { started: age(started), listed: age(listed), synced: age(synced), changed: age(changed) }
    }

    /// The last time that it is known to have done anything.
    fn last(&self) -> Option<Duration> {
        self.synced.or(self.started)
    }

    fn tell(&self, check: &mut Check) {
        let ages = [
            ("started", self.started),
            ("first complete list", self.listed),
            ("last sync", self.synced),
            ("last change", self.changed),
        ];
        let shown = ages.map(|(what, age)| format!("{what} {}", age.map_or_else(|| "never".to_owned(), ago)));
        check.see(shown.join(", "));
        for (fact, age) in [
            ("started_seconds", self.started),
            ("first_list_seconds", self.listed),
            ("last_sync_seconds", self.synced),
            ("last_change_seconds", self.changed),
        ] {
            check.fact(fact, age.map(|age| age.as_secs()));
        }
    }
}

/// `3 s ago`, `5 min ago`.
fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Nanoseconds of CLOCK_BOOTTIME, as AGENT has them.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_the_unit_that_fits() {
        let of = |seconds| ago(Duration::from_secs(seconds));
        assert_eq!([of(3), of(119), of(120)], ["3 s ago", "119 s ago", "2 min ago"]);
        assert_eq!([of(7_300), of(172_800)], ["2 h ago", "2 days ago"]);
    }

    #[test]
    fn what_was_never_done_has_no_age() {
        let second = 1_000_000_000;
        let work = Work::new(&AgentEntry { started: second, ..AgentEntry::default() }, 6 * second);
        assert_eq!((work.started, work.listed), (Some(Duration::from_secs(5)), None));
        assert_eq!(work.last(), work.started);
    }
}
