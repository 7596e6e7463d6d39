//! Which files the given paths stand for.

use super::file::is_gone;
use std::{
    collections::HashSet,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The files of the given paths, in order, each once.
#[derive(Default, Debug)]
pub(super) struct Listing {
    /// Files, in the order of the paths and sorted by name inside a directory.
    pub(super) files: Vec<Arc<Path>>,
    /// Given paths that could not be examined, with the call and its answer.
    pub(super) failed: Vec<Failed>,
    /// Directories without a manifest.
    pub(super) empty: Vec<PathBuf>,
}

/// A given path that could not be examined.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) path: PathBuf,
    pub(super) call: &'static str,
    pub(super) source: io::Error,
}

impl Failed {
    /// True where there is nothing at the path, so that its objects are gone, too.
    pub(super) fn is_gone(&self) -> bool {
        is_gone(&self.source)
    }
}

impl Listing {
    /// Lists the paths. A file that is reached twice counts where it is reached first.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut listing = Self::default();
        let mut seen = HashSet::new();
        for path in paths {
            if let Err((call, source)) = listing.path(path, &mut seen) {
                listing.failed.push(Failed { path: path.clone(), call, source });
            }
        }
        listing
    }

    fn path(&mut self, path: &Path, seen: &mut HashSet<PathBuf>) -> Result<(), (&'static str, io::Error)> {
        let metadata = fs::metadata(path).map_err(|error| ("stat", error))?;
        if metadata.is_file() {
            self.add(path, seen);
            return Ok(());
        }
        if !metadata.is_dir() {
            // Opening a pipe would wait for its writer.
            return Err(("stat", io::Error::other("is neither a file nor a directory")));
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| ("read_dir", error))? {
            let name = entry.map_err(|error| ("read_dir", error))?.file_name();
            // A directory's links are followed, one that leads nowhere is no file (yet).
            if is_manifest(&name) && fs::metadata(path.join(&name)).is_ok_and(|found| found.is_file()) {
                names.push(name);
            }
        }
        if names.is_empty() {
            self.empty.push(path.to_owned());
        }
        names.sort();
        for name in names {
            self.add(&path.join(name), seen);
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, seen: &mut HashSet<PathBuf>) {
        if seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())) {
            self.files.push(path.into());
        }
    }
}

/// True for the names that are read from a directory. Hidden ones are not: editors keep their locks
/// and swap files there (`.#web.yaml`), Kubernetes the versions of a mounted ConfigMap.
pub(super) fn is_manifest(name: &OsStr) -> bool {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    !name.as_encoded_bytes().starts_with(b".") && matches!(extension, Some("yaml" | "yml" | "json"))
}
