//! kubectl, as a user has it.

use super::Tools;
use crate::lab::{LabError, Place, Program};
use std::{
    io,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

/// A busy machine may take its time.
const LIMIT: Duration = Duration::from_secs(60);

/// kubectl with the credentials of one user.
#[derive(Clone, Debug)]
pub struct Kubectl {
    tools: Tools,
    place: Place,
    kubeconfig: PathBuf,
    /// Of what the API server can do, so that it is not asked each time.
    cache: PathBuf,
}

impl Kubectl {
    pub(super) fn new(tools: Tools, place: Place, kubeconfig: PathBuf, cache: PathBuf) -> Self {
        Self { tools, place, kubeconfig, cache }
    }

    /// Runs it to its end, whatever that is.
    ///
    /// # Errors
    /// If it cannot be run, or takes longer than a minute.
    pub fn output(&self, args: &[&str], input: &str) -> Result<Output, LabError> {
        let mut command = self.command(args);
        Program::start_with_input(self.place.clone(), &mut command, input.as_bytes())?.finish(LIMIT)
    }

    /// Runs it, and returns what it wrote to standard output.
    ///
    /// # Errors
    /// If it cannot be run or fails; the error has what it said.
    pub fn run(&self, args: &[&str]) -> Result<String, LabError> {
        self.run_with(args, "")
    }

    /// The same with something to read, at most 64 KiB, whose file is called `-`.
    ///
    /// # Errors
    /// See [`Kubectl::run`].
    pub fn run_with(&self, args: &[&str], input: &str) -> Result<String, LabError> {
        let output = self.output(args, input)?;
        if !output.status.success() {
            return Err(failure(args, &output));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The command, whose place is yet to be entered.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.tools.command("kubectl");
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(&self.cache);
        command.arg("--request-timeout=30s").args(args);
        command
    }
}

fn failure(args: &[&str], output: &Output) -> LabError {
    let said = String::from_utf8_lossy(&output.stderr);
    let error = io::Error::other(format!("{}: {}", output.status, said.trim_end()));
    LabError::new("run", format_args!("kubectl {}", args.join(" ")), error)
}
