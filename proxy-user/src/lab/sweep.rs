//! Removing what a killed process left. Namespaces need none of this: the kernel ends them with the process.

use super::{LabError, bpffs, cgroup_path, own_name};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Removes the cgroups, bpffs mounts and directories of labs whose process is no longer alive, and returns how many
/// went. A cgroup that still has processes in it stays: they are not ours to end.
///
/// A lab cgroup is looked for where this process would make one, below its own cgroup.
///
/// # Errors
/// If the directories cannot be read; what cannot be removed is passed over.
pub fn sweep() -> Result<usize, LabError> {
    let cgroups = orphans(&cgroup_path::own()?)?;
    let mounts = orphans(&env::temp_dir())?;
    let removed = cgroups.iter().filter(|path| gone(path, fs::remove_dir(path))).count();
    Ok(removed + mounts.iter().filter(|path| gone(path, remove(path))).count())
}

/// A mount goes with what is pinned there, a directory with its files. Nothing is removed through a mount
/// that would not go.
fn remove(path: &Path) -> io::Result<()> {
    match bpffs::remove(path) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => fs::remove_dir_all(path),
        other => other,
    }
}

fn orphans(parent: &Path) -> Result<Vec<PathBuf>, LabError> {
    let entries = fs::read_dir(parent).map_err(|error| LabError::new("readdir", parent.display(), error))?;
    let paths = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_orphan));
    Ok(paths.map(|entry| entry.path()).filter(|path| path.is_dir()).collect())
}

fn is_orphan(name: &str) -> bool {
    own_name::maker(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

fn gone(path: &Path, result: io::Result<()>) -> bool {
    if let Err(error) = &result {
        tracing::debug!(path = %path.display(), %error, "left by an earlier lab and not removable");
    }
    result.is_ok()
}
