//! Into the served cgroup, whose sockets meet the programs.

use crate::kernel::{Cgroup, cgroup2_mount_point};
use anyhow::Context as _;
use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Moves the calling thread into a cgroup, unless it is below it already.
///
/// # Errors
/// Where it may not move there.
pub fn join(cgroup: &Path) -> anyhow::Result<()> {
    let wanted = Cgroup::open(cgroup)?;
    // In a container, one's own place below the host's root cannot be seen, and that cannot be written to.
    if wanted.is_root() || own().is_some_and(|own| is_below(&own, wanted.id())) {
        return Ok(());
    }
    // A single thread may move within its threaded domain; else the process moves, to the end of its short life.
    let enter = |door: &str| fs::write(cgroup.join(door), "0");
    enter("cgroup.threads")
        .or_else(|_: io::Error| enter("cgroup.procs"))
        .with_context(|| format!("joining the served cgroup {}", cgroup.display()))
}

/// The directory of the calling thread's cgroup v2.
fn own() -> Option<PathBuf> {
    let lines = fs::read_to_string("/proc/thread-self/cgroup").ok()?;
    let path = lines.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(cgroup2_mount_point()?.join(path.trim_start_matches('/')))
}

/// Whether a directory or one above it is the cgroup of that id.
fn is_below(directory: &Path, id: u64) -> bool {
    directory.ancestors().any(|directory| fs::metadata(directory).is_ok_and(|metadata| metadata.ino() == id))
}
