//! `shunt run` on the node.

use crate::{SOON, command, wait_until};
use rustix::process::Signal;
use shunt::lab::{Place, Process};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What it logs once the maps are true.
const READY: &str = "ready: ";

/// An agent. Dropping it kills it, as a crash would.
pub struct Agent {
    process: Process,
    log: PathBuf,
    /// Where its part of the log begins.
    from: usize,
}

impl Agent {
    /// Starts one in a place; its log goes to the end of a file.
    pub fn start(place: &Place, mut command: Command, log: &Path) -> Self {
        let from = fs::read(log).map_or(0, |log| log.len());
        let file = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        place.enter_command(&mut command);
        Self { process: Process::start(&mut command).unwrap(), log: log.to_owned(), from }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap();
        String::from_utf8_lossy(log.get(self.from..).unwrap_or_default()).into_owned()
    }

    /// Whether it has said that the maps are true.
    pub fn is_ready(&self) -> bool {
        self.log().contains(READY)
    }

    /// Waits until it says so.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        self.wait_for(READY);
    }

    /// Waits until it has logged something.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + SOON;
        while !self.log().contains(text) {
            assert!(self.is_alive(), "the agent has ended:\n{}", self.log());
            assert!(Instant::now() < end, "no {text:?} in the agent's log:\n{}", self.log());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.child().try_wait().unwrap().is_none()
    }

    /// Waits until it has ended by itself; returns its exit code.
    #[track_caller]
    pub fn ended(mut self) -> Option<i32> {
        wait_until("the agent ends", || !self.is_alive());
        self.process.child().wait().unwrap().code()
    }

    /// SIGKILL, as the OOM killer's.
    pub fn kill(mut self) {
        self.process.child().kill().unwrap();
        self.process.child().wait().unwrap();
    }

    /// SIGTERM, as a rollout's.
    pub fn stop(mut self) {
        command::signal(self.process.child().id(), Signal::TERM);
        assert_eq!(self.process.child().wait().unwrap().code(), Some(0));
    }
}
