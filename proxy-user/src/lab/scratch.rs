//! A directory for what an external program wants to keep in files.

use super::{LabError, own_name};
use std::{
    env, fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A fresh directory `shunt-lab-<pid>-<n>` of the temporary directory, for root alone. Dropping it removes
/// it with everything in it.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a directory.
    ///
    /// # Errors
    /// What mkdir(2) said.
    pub fn new() -> Result<Self, LabError> {
        let parent = env::temp_dir();
        let made = own_name::create(&parent, |path| fs::DirBuilder::new().mode(0o700).create(path));
        let path = made.map_err(|error| LabError::new("mkdir", parent.display(), error))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it and returns its path.
    ///
    /// # Errors
    /// What open(2) or write(2) said.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf, LabError> {
        let path = self.path.join(name);
        match fs::write(&path, content) {
            Ok(()) => Ok(path),
            Err(error) => Err(LabError::new("write", path.display(), error)),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "lab directory stays behind");
        }
    }
}
