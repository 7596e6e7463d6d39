//! A bpffs of one's own, to pin in without meeting anybody else's pins.

use super::{LabError, own_name};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::{
    env, fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A bpffs mounted on a fresh directory `shunt-lab-<pid>-<n>` of the temporary directory. Each mount of
/// a bpffs is an instance of its own, so nothing pinned here is seen elsewhere. Dropping it unmounts it
/// (lazily: an open pin does not hinder) and removes the directory; what is pinned goes with it.
#[derive(Debug)]
pub struct Bpffs {
    path: PathBuf,
}

impl Bpffs {
    /// Mounts a bpffs. It is seen in this process's mount namespace, which children share.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or where the kernel has no bpffs.
    pub fn new() -> Result<Self, LabError> {
        let parent = env::temp_dir();
        let made = own_name::create(&parent, |path| fs::DirBuilder::new().mode(0o700).create(path));
        let path = made.map_err(|error| LabError::new("mkdir", parent.display(), error))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        match mount("bpf", &path, "bpf", flags, Some(c"mode=0700")) {
            Ok(()) => Ok(Self { path }),
            Err(error) => {
                let error = LabError::new("mount bpf", path.display(), error);
                // Empty, and made a moment ago.
                let _ = fs::remove_dir(&path);
                Err(error)
            }
        }
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "lab bpffs stays behind");
        }
    }
}

/// Unmounts and removes the directory; one that is not mounted is removed if it is empty.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match unmount(path, UnmountFlags::DETACH) {
        Ok(()) | Err(rustix::io::Errno::INVAL) => fs::remove_dir(path),
        Err(error) => Err(error.into()),
    }
}
