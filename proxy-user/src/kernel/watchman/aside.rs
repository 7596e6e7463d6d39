//! What lies where a pin of ours belongs, and is not ours, is moved out of the way. It is never removed: somebody put it
//! there, and may want it back.

use crate::kernel::error::KernelError;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The directory below the pin path that it is moved to.
pub const DIRECTORY: &str = "foreign";

/// So many are kept under one name; more are a mistake that goes on, and stay where they are.
const MOST: u32 = 16;

/// Moves `pin` to `<pin path>/foreign/`, under the name of its version, directory and own: `v4-maps-BACKENDS`, and with a
/// number behind it if that is taken. Returns where it is now; `None` if nothing was there.
///
/// # Errors
/// [`KernelError::Path`], as where it is on another file system.
pub fn move_aside(pin_path: &Path, pin: &Path) -> Result<Option<PathBuf>, KernelError> {
    let directory = pin_path.join(DIRECTORY);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .map_err(|source| KernelError::path(&directory, "mkdir", source))?;
    let parts = pin.strip_prefix(pin_path).unwrap_or(pin).components();
    let name = parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("-");
    for number in 1..=MOST {
        let name = if number == 1 { name.clone() } else { format!("{name}-{number}") };
        let to = directory.join(name);
        // rename(2) would put it in the place of what lies there.
        if to.symlink_metadata().is_ok() {
            continue;
        }
        return match fs::rename(pin, &to) {
            Ok(()) => Ok(Some(to)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KernelError::path(pin, "rename", source)),
        };
    }
    Err(KernelError::path(pin, "rename", ErrorKind::AlreadyExists))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_removed_and_names_tell_where_it_was() {
        let pin_path = tempfile::tempdir().unwrap();
        let pin = pin_path.path().join("v4/maps/SLOTS");
        fs::create_dir_all(pin.parent().unwrap()).unwrap();
        for number in 0..MOST {
            fs::write(&pin, number.to_string()).unwrap();
            let to = move_aside(pin_path.path(), &pin).unwrap().expect("it was there");
            assert_eq!(fs::read_to_string(&to).unwrap(), number.to_string());
            let name = to.strip_prefix(pin_path.path()).unwrap().to_str().unwrap().to_owned();
            let wanted = if number == 0 { String::new() } else { format!("-{}", number + 1) };
            assert_eq!(name, format!("foreign/v4-maps-SLOTS{wanted}"));
        }
        assert_eq!(move_aside(pin_path.path(), &pin_path.path().join("v4/maps/NODE")).unwrap_or(None), None);
        fs::write(&pin, "one too many").unwrap();
        assert!(move_aside(pin_path.path(), &pin).is_err() && pin.exists());
    }
}
