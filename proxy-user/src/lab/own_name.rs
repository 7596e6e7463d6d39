//! Names that say which process made a thing, so that what a killed process left can be found.

use std::{
    io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

const PREFIX: &str = "shunt-lab-";

/// How many names a process tries: leftovers of an earlier process with the same id stand in the way.
const ATTEMPTS: usize = 1000;

/// Makes `parent/shunt-lab-<pid>-<n>` with the first `n` of this process that is free.
pub(super) fn create(parent: &Path, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..ATTEMPTS {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", process::id()));
        match make(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The process that made a thing of this name; `None` if the name is not one of ours.
pub(super) fn maker(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_have_a_maker() {
        assert_eq!(maker("shunt-lab-4711-0"), Some(4711));
        for other in ["shunt-lab-4711", "shunt-lab-x-0", "shunt-lab-1-x", "shunt-1-0", "system.slice"] {
            assert_eq!(maker(other), None, "{other}");
        }
    }

    #[test]
    fn a_taken_name_is_passed_over() {
        let parent = tempfile::tempdir().unwrap();
        let first = create(parent.path(), |path| std::fs::create_dir(path)).unwrap();
        let (stem, number) = first.to_str().unwrap().rsplit_once('-').unwrap();
        let number: u32 = number.parse().unwrap();
        for taken in 1..=20 {
            std::fs::create_dir(format!("{stem}-{}", number + taken)).unwrap();
        }
        let second = create(parent.path(), |path| std::fs::create_dir(path)).unwrap();
        assert!(second.is_dir());
        assert_eq!(maker(second.file_name().unwrap().to_str().unwrap()), Some(process::id()));
    }
}
