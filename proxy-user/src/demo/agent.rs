//! The agent as users run it: `shunt run` in a process of its own.

use super::{interrupt::Interrupt, wait_until};
use crate::lab::{Place, Process};
use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

/// How long it may take to end.
const LIMIT: Duration = Duration::from_secs(5);
/// Lines of its log that an error shows.
const SHOWN: usize = 8;

/// A running agent. Dropping it kills it.
#[derive(Debug)]
pub struct Agent {
    process: Process,
    log: PathBuf,
}

impl Agent {
    /// Starts this very program as the agent of the lab's node, in the node's network namespace. Only the
    /// network changes: cgroups, pins and manifests are where they are for everybody.
    pub fn start(
        node: Place,
        manifests: &Path,
        cgroup: &Path,
        pins: &Path,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let program = env::current_exe().context("finding this program")?;
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = Command::new(program);
        command.args(["run", "--node", super::needs::NODE, "--manifests"]).arg(manifests);
        command.arg("--cgroup").arg(cgroup).arg("--pin-path").arg(pins);
        command.env("NO_COLOR", "1").env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        node.enter_command(&mut command);
        Ok(Self { process: Process::start(&mut command)?, log })
    }

    /// Fails if it has ended, with the end of its log.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.process.child().try_wait().context("waiting for the agent")? {
            Some(status) => anyhow::bail!("the agent ended with {status}; its log ends:\n{}", self.log_end()),
            None => Ok(()),
        }
    }

    /// Asks it to end by SIGTERM and waits until it has.
    pub fn stop(&mut self, interrupt: &Interrupt) -> anyhow::Result<ExitStatus> {
        let child = self.process.child();
        kill_process(Pid::from_child(child), Signal::TERM).context("SIGTERM to the agent")?;
        let mut status = None;
        wait_until(LIMIT, interrupt, || {
            status = child.try_wait().context("waiting for the agent")?;
            Ok(status.is_some())
        })?;
        status.with_context(|| format!("the agent is still there {LIMIT:?} after SIGTERM"))
    }

    /// The last lines that it logged.
    pub fn log_end(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}
