//! A program of the control plane that runs until it is killed, and its log.

use shunt::lab::{Place, Process};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// The lines of a log that a failure shows.
const SHOWN: usize = 40;

/// A running program. Dropping it kills it, by SIGKILL as a crash would.
pub struct Daemon {
    name: &'static str,
    process: Process,
    log: PathBuf,
}

impl Daemon {
    /// Starts it; its log goes to the end of a file of its name in the directory.
    pub fn start(name: &'static str, place: impl Into<Place>, mut command: Command, logs: &Path) -> Self {
        let log = logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file);
        place.into().enter_command(&mut command);
        Self { name, process: Process::start(&mut command).unwrap(), log }
    }

    /// Panics with the end of its log if it has ended by itself.
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.process.child().try_wait().unwrap() {
            panic!("{} ended, {status}:\n{}", self.name, self.log());
        }
    }

    /// Its process id.
    pub fn id(&mut self) -> u32 {
        self.process.child().id()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}
