//! A program of the control plane that runs until it is killed, and its log.

use crate::lab::{LabError, Place, Process};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
};

/// The lines of a log that an error shows.
const SHOWN: usize = 30;

/// A running program. Dropping it kills it, by SIGKILL as a crash would.
#[derive(Debug)]
pub(super) struct Daemon {
    process: Process,
    log: PathBuf,
}

impl Daemon {
    /// Starts it; its log goes to the end of a file of its name in the directory.
    pub fn start(name: &str, place: Place, mut command: Command, logs: &Path) -> Result<Self, LabError> {
        let log = logs.join(format!("{name}.log"));
        let open = || {
            let file = File::options().create(true).append(true).open(&log)?;
            Ok((file.try_clone()?, file))
        };
        let (out, error) = open().map_err(|error: io::Error| LabError::new("open", log.display(), error))?;
        place.enter_command(command.stdout(out).stderr(error));
        Ok(Self { process: Process::start(&mut command)?, log })
    }

    /// Its process id.
    pub fn id(&mut self) -> u32 {
        self.process.child().id()
    }

    /// Fails with the end of its log if it has ended by itself.
    pub fn check(&mut self) -> Result<(), LabError> {
        match self.process.child().try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failure(io::ErrorKind::BrokenPipe, &format!("it ended, {status}"))),
            Err(error) => Err(LabError::new("wait for", self.log.display(), error)),
        }
    }

    /// An error that shows the end of its log.
    pub fn failure(&self, kind: io::ErrorKind, what: &str) -> LabError {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let end = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
        LabError::new("run", self.log.display(), io::Error::new(kind, format!("{what}; its log:\n{end}")))
    }
}
