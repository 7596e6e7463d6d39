//! One writer per pin path: a flock(2) on the directory, which the kernel frees when its holder dies.

use super::error::KernelError;
use rustix::fs::{FlockOperation, flock, major, minor};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The pin path is ours until this is dropped or the process ends.
#[derive(Debug)]
pub struct PinLock {
    dir: Mutex<Locked>,
}

/// A directory that this process has locked.
#[derive(Debug)]
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // A child that some thread has just forked has the descriptor too, until it executes its program: closing
        // ours would not free the lock yet.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Who holds a pin path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command name, at most 15 bytes; empty if it has just ended.
    pub command: String,
}

/// Whether a pin path is held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LockState {
    /// By nobody.
    Free,
    /// By this process; `None` for one outside of this PID namespace.
    Held(Option<Holder>),
}

/// Looks who holds a pin path, without touching the lock: an agent that starts meanwhile is not in the way.
///
/// # Errors
/// Of open(2) (`NotFound`: no such path), or where /proc/locks cannot be read.
pub fn lock_state(pin_path: &Path) -> io::Result<LockState> {
    let metadata = File::open(pin_path)?.metadata()?;
    let locks = fs::read_to_string("/proc/locks")?;
    Ok(match lock_holder(&locks, metadata.dev(), metadata.ino()) {
        None => LockState::Free,
        Some(0) => LockState::Held(None),
        Some(pid) => LockState::Held(Some(named(pid))),
    })
}

impl PinLock {
    /// Takes the lock, without waiting.
    ///
    /// # Errors
    /// [`KernelError::Locked`] with the holder, or [`KernelError::Path`].
    pub fn acquire(pin_path: &Path) -> Result<Self, KernelError> {
        lock(pin_path).map(|dir| Self { dir: Mutex::new(dir) })
    }

    /// Whether it is still the pin path that is locked: the directory may have been removed, or its file system unmounted.
    #[must_use]
    pub fn holds(&self, pin_path: &Path) -> bool {
        is_at(&self.locked().0, pin_path)
    }

    /// Refuses what would be done to a pin path that is not locked any more: another process may be its writer by now.
    ///
    /// # Errors
    /// [`KernelError::Path`]; [`Self::retake`] it first.
    pub fn check(&self, pin_path: &Path) -> Result<(), KernelError> {
        match self.holds(pin_path) {
            true => Ok(()),
            false => {
                Err(KernelError::path(pin_path, "flock", io::Error::other("it is another directory now")))
            }
        }
    }

    /// Takes the lock on what lies at the pin path by now. Until that succeeds the former directory stays locked.
    ///
    /// # Errors
    /// As for [`Self::acquire`]; [`KernelError::Locked`]: another process has begun to use the pin path since.
    pub fn retake(&self, pin_path: &Path) -> Result<(), KernelError> {
        let dir = lock(pin_path)?;
        *self.locked() = dir;
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Locked> {
        self.dir.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(pin_path: &Path) -> Result<Locked, KernelError> {
    let dir = File::open(pin_path).map_err(|source| KernelError::path(pin_path, "open", source))?;
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        // Whoever held it before may have removed the directory: a lock on that holds nobody off.
        Ok(()) if is_at(&dir, pin_path) => Ok(Locked(dir)),
        Ok(()) => Err(KernelError::path(pin_path, "flock", ErrorKind::NotFound)),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(KernelError::Locked { path: pin_path.to_owned(), holder: holder(&dir) })
        }
        Err(source) => Err(KernelError::path(pin_path, "flock", source)),
    }
}

/// Whether a directory still lies at its path.
pub(super) fn is_at(dir: &File, path: &Path) -> bool {
    let identity = |metadata: &fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((dir.metadata(), fs::metadata(path)), (Ok(ours), Ok(there)) if identity(&ours) == identity(&there))
}

/// The process that /proc/locks names for the directory's inode.
fn holder(dir: &File) -> Option<Holder> {
    let metadata = dir.metadata().ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    holder_pid(&locks, metadata.dev(), metadata.ino()).map(named)
}

fn named(pid: u32) -> Holder {
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Holder { pid, command: command.trim_end().to_owned() }
}

fn holder_pid(locks: &str, device: u64, inode: u64) -> Option<u32> {
    lock_holder(locks, device, inode).filter(|pid| *pid != 0)
}

/// Reads lines such as `1: FLOCK  ADVISORY  WRITE 4711 00:2a:17 0 EOF`: device numbers are
/// hexadecimal, and the process id is 0 where it lies outside of this PID namespace.
fn lock_holder(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let wanted = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            // A process that waits for the lock has an arrow in the second place.
            [_, "FLOCK", _, "WRITE", pid, at, ..] if at == wanted => pid.parse().ok(),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_by_device_and_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fd:01:55 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 00:2a:56 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 00:2a:55 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 10 00:2a:55 0 EOF\n";
        assert_eq!(holder_pid(locks, rustix::fs::makedev(0, 0x2a), 55), Some(9));
        assert_eq!(holder_pid(locks, rustix::fs::makedev(0xfd, 1), 55), None);
        let outside = "3: FLOCK  ADVISORY  WRITE 0 00:2a:55 0 EOF\n";
        assert_eq!(holder_pid(outside, rustix::fs::makedev(0, 0x2a), 55), None);
        assert_eq!(lock_holder(outside, rustix::fs::makedev(0, 0x2a), 55), Some(0), "held all the same");
    }

    #[test]
    fn a_lock_on_a_directory_that_was_replaced_is_none() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("shunt");
        fs::create_dir(&path).unwrap();
        let old = File::open(&path).unwrap();
        assert!(is_at(&old, &path));
        fs::remove_dir(&path).unwrap();
        assert!(!is_at(&old, &path));
    }

    #[test]
    fn a_directory_that_was_made_again_is_locked_anew_unless_somebody_else_was_first() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("shunt");
        fs::create_dir(&path).unwrap();
        let lock = PinLock::acquire(&path).unwrap();
        assert!(lock.holds(&path));
        fs::rename(&path, parent.path().join("old")).unwrap();
        assert!(!lock.holds(&path) && lock.check(&path).is_err() && lock.retake(&path).is_err());
        fs::create_dir(&path).unwrap();
        let other = PinLock::acquire(&path).unwrap();
        assert!(matches!(lock.retake(&path), Err(KernelError::Locked { .. })));
        drop(other);
        lock.retake(&path).unwrap();
        assert!(lock.holds(&path) && lock.check(&path).is_ok());
        assert!(matches!(PinLock::acquire(&path), Err(KernelError::Locked { .. })));
        PinLock::acquire(&parent.path().join("old")).expect("the former directory is free");
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let first = PinLock::acquire(dir.path()).unwrap();
        match PinLock::acquire(dir.path()).unwrap_err() {
            KernelError::Locked { holder: Some(holder), .. } => assert_eq!(holder.pid, std::process::id()),
            error => panic!("{error}"),
        }
        let state = || lock_state(dir.path()).unwrap();
        assert!(matches!(state(), LockState::Held(Some(holder)) if holder.pid == std::process::id()));
        drop(first);
        assert_eq!(state(), LockState::Free);
        PinLock::acquire(dir.path()).unwrap();
    }
}
