//! The lock that every user of the older iptables takes (iptables(8), `-w`): a flock(2) on one file of the machine.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

const FILE: &str = "/run/xtables.lock";
/// iptables-restore of a large table takes seconds.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(20);

/// Nobody else who takes it changes a table until it is dropped. In a container it is the machine's lock only if
/// that file is mounted, as kube-proxy's manifests do it.
#[derive(Debug)]
pub struct XtablesLock(#[allow(dead_code, reason = "held, not read")] File);

impl XtablesLock {
    /// Waits for it; `None` where the file cannot be had, as in a container that may write nowhere.
    ///
    /// # Errors
    /// Of flock(2); `TimedOut`: another process has held it all the time.
    pub fn acquire() -> io::Result<Option<Self>> {
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).to_owned();
        let Ok(file) = options.open(FILE) else { return Ok(None) };
        let end = Instant::now() + PATIENCE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Self(file))),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(PAUSE),
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process holds /run/xtables.lock",
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
