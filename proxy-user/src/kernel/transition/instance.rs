//! Instances of the maps of one version: each a directory of pins. The highest number is the one in use.
//!
//! ```text
//! maps            the first
//! maps_2          the next; programs of both may run while one takes over from the other
//! maps_3_new      not yet whole, or no more in use: whoever starts removes it
//! ```

use crate::kernel::error::KernelError;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const UNFINISHED: &str = "_new";

/// The instances that have a directory.
#[derive(Debug, Default)]
pub struct Instances {
    /// Numbers of those that are whole, the newest last.
    pub whole: Vec<u32>,
    /// Directories of those that are not.
    pub unfinished: Vec<PathBuf>,
}

impl Instances {
    /// What there is of one version, nothing if it has no directory.
    ///
    /// # Errors
    /// [`KernelError::Path`].
    pub fn of(version: &Path) -> Result<Self, KernelError> {
        let failed = |source| KernelError::path(version, "read directory", source);
        let entries = match fs::read_dir(version) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            entries => entries.map_err(failed)?,
        };
        let mut found = Self::default();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            match name.to_str().and_then(parse) {
                Some((number, true)) => found.whole.push(number),
                Some((_, false)) => found.unfinished.push(version.join(name)),
                None => {}
            }
        }
        found.whole.sort_unstable();
        Ok(found)
    }
}

/// Name of the directory of an instance.
pub fn directory(number: u32) -> String {
    if number == 1 { "maps".into() } else { format!("maps_{number}") }
}

/// Name of the directory of one that is not whole.
pub fn unfinished(number: u32) -> String {
    directory(number) + UNFINISHED
}

/// Number of an instance by the name of its directory, and whether it is whole.
pub fn parse(name: &str) -> Option<(u32, bool)> {
    let whole = name.strip_suffix(UNFINISHED);
    let base = whole.unwrap_or(name);
    let number = match base.strip_prefix("maps_") {
        Some(number) => number.parse().ok()?,
        None => 1,
    };
    (directory(number) == base).then_some((number, whole.is_none()))
}

/// Removes a directory of pins, whatever is left of it.
///
/// # Errors
/// [`KernelError::Path`].
pub fn remove(directory: &Path) -> Result<(), KernelError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(KernelError::path(directory, "unlink", error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directorys_name_tells_which_instance_it_is() {
        for number in [1, 2, 3, 10, u32::MAX] {
            assert_eq!(parse(&directory(number)), Some((number, true)));
            assert_eq!(parse(&unfinished(number)), Some((number, false)));
        }
        for other in ["links", "maps_", "maps_1", "maps_02", "maps_x", "map", "maps_2_old", "_new"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_comes_last_and_what_is_unfinished_apart() {
        let version = tempfile::tempdir().unwrap();
        for name in ["maps_10", "maps", "maps_2", "maps_11_new", "links"] {
            fs::create_dir(version.path().join(name)).unwrap();
        }
        let found = Instances::of(version.path()).unwrap();
        assert_eq!(found.whole, [1, 2, 10]);
        assert_eq!(found.unfinished, [version.path().join("maps_11_new")]);
        remove(&found.unfinished[0]).unwrap();
        remove(&found.unfinished[0]).expect("a second time");
        assert!(Instances::of(&version.path().join("absent")).unwrap().whole.is_empty());
    }
}
