//! External programs that end with the test that started them.

use super::LabError;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus},
};

/// A program in a process group of its own. Dropping it kills the group, workers that it forked
/// included (not those that made themselves a session), and waits for it.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a command. Choose its place first, by `enter_command` of a namespace or a cgroup.
    ///
    /// # Errors
    /// If it cannot be started or cannot enter its place.
    pub fn start(command: &mut Command) -> Result<Self, LabError> {
        let child = command.process_group(0).spawn();
        let child = child.map_err(|error| LabError::new("spawn", command.get_program().display(), error))?;
        Ok(Self { child })
    }

    /// The child, to read its output or to wait for it.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Kills the group and waits for the child; once it has been waited for, only says how it ended.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(&self.child);
        // Until the child is reaped, the group's number cannot be anybody else's, be the child alive or not.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if waitid(WaitId::Pid(pid), look).is_ok() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
