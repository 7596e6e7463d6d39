//! Output that people have read and found right, beside this file.
#![allow(clippy::unwrap_used)] // clippy.toml allows it in #[test] functions, but not in their helpers

use std::{fs, path::PathBuf};

/// Where a file of this directory is.
pub fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// Compares line by line, so that a difference is short. With SHUNT_WRITE_GOLDEN set, writes the file instead: read
/// what `git diff` says then.
pub fn compare(file: &str, said: &str) {
    let path = path(file);
    if std::env::var_os("SHUNT_WRITE_GOLDEN").is_some() {
        fs::write(&path, said).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap();
    let hint = "if this is meant, run the test with SHUNT_WRITE_GOLDEN=1";
    for (number, (said, wanted)) in (1..).zip(said.lines().zip(wanted.lines())) {
        assert_eq!(said, wanted, "{}, line {number}; {hint}", path.display());
    }
    assert_eq!(said.len(), wanted.len(), "{}: one goes on; {hint}", path.display());
}
