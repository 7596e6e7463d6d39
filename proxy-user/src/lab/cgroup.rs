//! Child cgroups that single threads of a test can join.

use super::{LabError, Place, cgroup_path, own_name, place::Doors};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// A thread's death and its leaving the cgroup are not one moment: join(3) returns in between.
const REMOVAL_TIME: Duration = Duration::from_secs(3);
const REMOVAL_PAUSE: Duration = Duration::from_millis(2);

/// A threaded child of this process's own cgroup, named `shunt-lab-<pid>-<n>`. Programs attached to
/// [`Cgroup::path`] see the sockets of the threads and processes that joined, and of nobody else.
///
/// Dropping it removes it, once its threads and processes have ended; it ends none of them: give
/// processes to [`super::Process`], declared after the cgroup so that it goes first. A cgroup that
/// is still in use after three seconds stays, with a warning, for [`super::sweep`].
#[derive(Debug)]
pub struct Cgroup {
    directory: Directory,
    doors: Arc<Doors>,
}

/// Removes the directory also when the cgroup could not be completed.
#[derive(Debug)]
struct Directory(PathBuf);

impl Cgroup {
    /// Makes a cgroup.
    ///
    /// # Errors
    /// Without cgroup2 or the right to write there. EOPNOTSUPP for `cgroup.type` means that the own cgroup
    /// hands out domain controllers (its `cgroup.subtree_control` is not empty) and may therefore have no
    /// threaded children: start the process in a leaf, for example by `systemd-run --scope`.
    pub fn new() -> Result<Self, LabError> {
        let parent = cgroup_path::own()?;
        let made = own_name::create(&parent, |path| fs::create_dir(path));
        let directory = Directory(made.map_err(|error| LabError::new("mkdir", parent.display(), error))?);
        let doors = Arc::new(complete(&directory.0)?);
        Ok(Self { directory, doors })
    }

    /// Removes it, once threads and processes have left, and makes another one in its place. Sockets that were made in
    /// it go on and belong to what was removed, and so do places that were made of it.
    ///
    /// # Errors
    /// EBUSY after three seconds with somebody in it; it is as it was then.
    pub fn make_again(&mut self) -> Result<(), LabError> {
        let path = self.path();
        remove(path).map_err(|error| LabError::new("rmdir", path.display(), error))?;
        fs::create_dir(path).map_err(|error| LabError::new("mkdir", path.display(), error))?;
        self.doors = Arc::new(complete(path)?);
        Ok(())
    }

    /// Its directory: what programs are attached to.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory.0
    }

    /// The same place, in this cgroup.
    #[must_use]
    pub fn at(&self, place: impl Into<Place>) -> Place {
        place.into().with_cgroup(Arc::clone(&self.doors))
    }

    /// Runs `work` on a fresh thread that has joined this cgroup and entered the namespace, and returns
    /// its value. A panic goes on in the caller.
    ///
    /// # Errors
    /// If the thread cannot be made, join or enter; `work` has not run then.
    pub fn run_in<T: Send>(
        &self,
        place: impl Into<Place>,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, LabError> {
        self.at(place).run(work)
    }

    /// Lets an external program run in this cgroup; combine with [`super::Namespace::enter_command`].
    pub fn enter_command(&self, command: &mut Command) {
        Place::from(self).enter_command(command);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        match remove(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let threads = fs::read_to_string(self.0.join("cgroup.threads")).unwrap_or_default();
                let threads = threads.replace('\n', " ");
                tracing::warn!(cgroup = %self.0.display(), %error, threads, "lab cgroup stays behind");
            }
            _ => {}
        }
    }
}

/// Makes a cgroup one that threads can join.
fn complete(path: &Path) -> Result<Doors, LabError> {
    // A thread may move only between cgroups of one "threaded domain": that of its process.
    let kind = path.join("cgroup.type");
    fs::write(&kind, "threaded").map_err(|error| LabError::new("write", kind.display(), error))?;
    let open = |name| {
        let path = path.join(name);
        let file = File::options().write(true).open(&path);
        file.map_err(|error| LabError::new("open", path.display(), error))
    };
    Ok(Doors { threads: open("cgroup.threads")?, processes: open("cgroup.procs")? })
}

/// Removes a cgroup once it is empty.
fn remove(path: &Path) -> io::Result<()> {
    let end = Instant::now() + REMOVAL_TIME;
    loop {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < end => {
                thread::sleep(REMOVAL_PAUSE);
            }
            removed => return removed,
        }
    }
}
