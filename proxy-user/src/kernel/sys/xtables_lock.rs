//! The lock that every user of the older iptables takes (iptables(8), `-w`): a flock(2) on one file of the machine.

use rustix::fs::{FlockOperation, StatVfsMountFlags, flock, fstatfs, statfs, statvfs};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

const FILE: &str = "/run/xtables.lock";
const DIRECTORY: &str = "/run";
/// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h: a container's own root, as a rule.
const OVERLAYFS: u32 = 0x794c_7630;
/// iptables-restore of a large table takes seconds.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(20);

/// Nobody else who takes it changes a table until it is dropped. In a container it is the machine's lock only if
/// that file is mounted, as kube-proxy's manifests do it.
#[derive(Debug)]
pub struct XtablesLock(#[allow(dead_code, reason = "held, not read")] File);

impl XtablesLock {
    /// Waits for it.
    ///
    /// # Errors
    /// Where the machine's file cannot be had, as in a container that does not mount it; names the file. `TimedOut`:
    /// another process has held it all the time.
    pub fn acquire() -> io::Result<Self> {
        let file = open(true)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(PAUSE),
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(io::Error::new(
                        ErrorKind::TimedOut,
                        "another process holds /run/xtables.lock",
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the file can be had; neither makes it nor locks it.
    ///
    /// # Errors
    /// As for [`Self::acquire`].
    pub fn probe() -> io::Result<()> {
        match open(false) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let call = |error: rustix::io::Errno| unusable(error.into());
                if statvfs(DIRECTORY).map_err(call)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
                    return Err(unusable(ErrorKind::ReadOnlyFilesystem.into()));
                }
                machines(statfs(DIRECTORY).map_err(call)?.f_type as u32)
            }
            opened => opened.map(drop),
        }
    }
}

fn open(create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(create).truncate(false).mode(0o600);
    let file = options.open(FILE).map_err(unusable)?;
    machines(fstatfs(&file)?.f_type as u32)?;
    Ok(file)
}

/// A file that lies in the root of a container locks nobody out but this container.
fn machines(file_system: u32) -> io::Result<()> {
    if file_system == OVERLAYFS {
        return Err(unusable(io::Error::other("it is not the machine's, but this container's own")));
    }
    Ok(())
}

fn unusable(error: io::Error) -> io::Error {
    let text = format!(
        "{FILE}, which keeps other users of iptables-legacy away meanwhile, cannot be had: {error}; mount the machine's"
    );
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_own_file_is_not_the_machines() {
        let error = machines(OVERLAYFS).unwrap_err();
        assert!(error.to_string().contains("/run/xtables.lock"), "{error}");
        // TMPFS_MAGIC, as /run of a machine is.
        machines(0x0102_1994).unwrap();
    }
}
