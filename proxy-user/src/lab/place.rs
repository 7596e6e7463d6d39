//! Where a thread, a socket or a process is to live: a network namespace, a cgroup, or both.

use super::{Cgroup, LabError, Namespace, sys};
use rustix::{
    io::pwrite,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    panic,
    process::Command,
    sync::Arc,
    thread,
};

/// A network namespace, a cgroup, or both. Made from `&Namespace`, `&Pod`, `&Node` or `&Cgroup`
/// by `into()`, or by [`Cgroup::at`]; [`Place::here`] is where the caller is.
///
/// A place keeps its namespace alive, but does not hinder the removal of its cgroup.
#[derive(Clone, Debug, Default)]
pub struct Place {
    namespace: Option<Arc<OwnedFd>>,
    cgroup: Option<Arc<Doors>>,
}

/// The two files through which one joins a cgroup.
#[derive(Debug)]
pub(super) struct Doors {
    /// `cgroup.threads`, open for writing: takes single threads.
    pub threads: File,
    /// `cgroup.procs`, open for writing: takes whole processes.
    pub processes: File,
}

impl Place {
    /// Where the calling thread is.
    #[must_use]
    pub fn here() -> Self {
        Self::default()
    }

    pub(super) fn of_namespace(fd: Arc<OwnedFd>) -> Self {
        Self { namespace: Some(fd), cgroup: None }
    }

    pub(super) fn with_cgroup(self, doors: Arc<Doors>) -> Self {
        Self { cgroup: Some(doors), ..self }
    }

    /// Runs `work` on a fresh thread in this place and returns its value. A panic goes on in the caller.
    ///
    /// # Errors
    /// If the thread cannot be made or cannot enter; `work` has not run then.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        thread::scope(|scope| {
            let thread = thread::Builder::new()
                .name("lab-run".to_owned())
                .spawn_scoped(scope, || self.enter_thread().map(|()| work()))
                .map_err(|error| LabError::new("clone", "a thread of the lab", error))?;
            match thread.join() {
                Ok(result) => result,
                Err(panic) => panic::resume_unwind(panic),
            }
        })
    }

    /// Lets an external program run in this place, from before its first instruction.
    pub fn enter_command(&self, command: &mut Command) {
        sys::enter_before_exec(command, self.clone());
    }

    /// Moves the calling thread here, for good.
    fn enter_thread(&self) -> Result<(), LabError> {
        if let Some(doors) = &self.cgroup {
            join(&doors.threads).map_err(|error| LabError::new("write", "cgroup.threads", error))?;
        }
        self.enter_namespace().map_err(|error| LabError::new("setns", "a network namespace", error))
    }

    /// Moves the calling process, which has one thread, here. Async-signal-safe.
    pub(super) fn enter_process(&self) -> io::Result<()> {
        if let Some(doors) = &self.cgroup {
            join(&doors.processes)?;
        }
        self.enter_namespace()
    }

    fn enter_namespace(&self) -> io::Result<()> {
        if let Some(fd) = &self.namespace {
            move_into_link_name_space(fd.as_fd(), Some(LinkNameSpaceType::Network))?;
        }
        Ok(())
    }
}

/// "0" is the writer itself (kernel/cgroup/cgroup.c, cgroup_procs_write_start), so that nothing has
/// to be formatted between fork and exec.
fn join(door: &File) -> io::Result<()> {
    pwrite(door, b"0", 0)?;
    Ok(())
}

impl From<&Namespace> for Place {
    fn from(namespace: &Namespace) -> Self {
        namespace.place()
    }
}

impl From<&Cgroup> for Place {
    fn from(cgroup: &Cgroup) -> Self {
        cgroup.at(Self::here())
    }
}
