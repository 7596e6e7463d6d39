//! The path of a cgroup that is known by its id.

use crate::kernel::{PROGRAMS, cgroup2_mount_point, sys::LinkFd};
use proxy_common::abi::ABI_VERSION;
use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Directories that are looked at before it is given up: a busy node has some thousand.
const MOST: usize = 20_000;

/// The path of a cgroup, below the mount of this namespace. On 64-bit systems its id is its inode number.
pub fn of(id: u64) -> Option<PathBuf> {
    let mut waiting = vec![cgroup2_mount_point()?];
    for _ in 0..MOST {
        let path = waiting.pop()?;
        if fs::metadata(&path).is_ok_and(|metadata| metadata.ino() == id) {
            return Some(path);
        }
        let entries = fs::read_dir(&path).into_iter().flatten().flatten();
        waiting.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    None
}

/// The cgroup that a pinned link attaches a program to, by its id.
pub fn of_link(pin_path: &Path, program: &str) -> Option<u64> {
    let link = LinkFd::open(&pin_path.join(format!("v{ABI_VERSION}/links")).join(program)).ok()?;
    Some(link.info().ok()??.cgroup_id)
}

/// The cgroup that the pinned links serve.
pub fn served(pin_path: &Path) -> Option<PathBuf> {
    PROGRAMS.iter().find_map(|(program, _)| of(of_link(pin_path, program)?))
}
