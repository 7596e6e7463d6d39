//! Since when former flows are new to our maps. Whoever goes on with a transition must know it: what was silent for longer
//! has come over before, and where ours does not have it, it was forgotten there, because it ended or its endpoint went.
//! It is the name of a directory beside the pins of the new maps, and goes with them.

use crate::kernel::bpffs::{self, PinDirs};
use crate::kernel::error::KernelError;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

const PREFIX: &str = "since_";

/// Seconds of CLOCK_MONOTONIC; 0 where nobody has said so.
///
/// # Errors
/// [`KernelError::Path`].
pub fn read(dirs: &PinDirs) -> Result<u32, KernelError> {
    Ok(markers(dirs)?.into_iter().map(|(since, _)| since).max().unwrap_or(0))
}

/// Says so, before what begins, begins in the new maps.
///
/// # Errors
/// [`KernelError::Path`].
pub fn write(dirs: &PinDirs, since: u32) -> Result<(), KernelError> {
    // One that ended just before may have left another one.
    remove(dirs)?;
    let marker = dirs.maps.join(format!("{PREFIX}{since}"));
    fs::create_dir(&marker).map_err(|source| KernelError::path(marker, "mkdir", source))
}

/// Removes what was said.
///
/// # Errors
/// [`KernelError::Path`].
pub fn remove(dirs: &PinDirs) -> Result<(), KernelError> {
    markers(dirs)?.into_iter().try_for_each(|(_, marker)| match fs::remove_dir(&marker) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(KernelError::path(marker, "rmdir", error)),
        _ => Ok(()),
    })
}

fn markers(dirs: &PinDirs) -> Result<Vec<(u32, PathBuf)>, KernelError> {
    let entries = bpffs::entries(&dirs.maps)?.into_iter();
    let marker = |path: PathBuf| {
        let since = path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok()?;
        Some((since, path))
    };
    Ok(entries.filter_map(marker).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_until_it_is_removed() {
        let version = tempfile::tempdir().unwrap();
        let dirs = PinDirs::instance(version.path().join("v4"), 2);
        dirs.create().unwrap();
        fs::write(dirs.maps.join("SLOTS"), "").unwrap();
        assert_eq!(read(&dirs).unwrap(), 0);
        for since in [4_711, 12] {
            write(&dirs, since).unwrap();
            assert_eq!(read(&dirs).unwrap(), since);
        }
        remove(&dirs).unwrap();
        remove(&dirs).expect("a second time");
        assert_eq!((read(&dirs).unwrap(), bpffs::entries(&dirs.maps).unwrap().len()), (0, 1));
    }
}
