//! All that Shunt has in the kernel by one pin path: found, or removed. Pins of every version of the map ABI and of every
//! instance of the maps, whatever the directory is called, and filters of clsact qdiscs, which outlive pins.

use super::attach::DETACH_ORDER;
use super::bpffs;
use super::error::KernelError;
use super::lock::PinLock;
use super::packets;
use super::watchman::FOREIGN;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// One thing of Shunt's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OwnTrace {
    /// A filter of a clsact qdisc, with the qdisc if no other one is in it.
    Filter {
        /// Index of the device.
        device: u32,
        /// Its name: the path of the pin that a tcx link would have.
        name: String,
    },
    /// A pinned link: with it goes what it attaches.
    Link(PathBuf),
    /// Any other pin: a map.
    Pin(PathBuf),
    /// A directory.
    Directory(PathBuf),
}

impl fmt::Display for OwnTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter { device, name } => write!(f, "clsact filter {name} on device {device}"),
            Self::Link(path) => write!(f, "link {}", path.display()),
            Self::Pin(path) => write!(f, "map {}", path.display()),
            Self::Directory(path) => write!(f, "directory {}", path.display()),
        }
    }
}

/// Finds all of it, in the order in which it goes: what writes addresses before what restores them, maps after the programs
/// that use them. Filters are looked for in the network namespace of the calling thread.
///
/// # Errors
/// [`KernelError::NoBpffs`], or of the call that failed.
pub fn find(pin_path: &Path) -> Result<Vec<OwnTrace>, KernelError> {
    bpffs::refuse_others(pin_path)?;
    let filters = packets::filters(pin_path)?;
    let mut found: Vec<_> =
        filters.into_iter().map(|(device, name)| OwnTrace::Filter { device, name }).collect();
    let versions =
        bpffs::versions(pin_path)?.into_iter().map(|version| pin_path.join(version)).collect::<Vec<_>>();
    let mut directories = Vec::new();
    let mut pins = Vec::new();
    for version in &versions {
        walk(version, &mut pins, &mut directories)?;
    }
    let (mut links, maps): (Vec<_>, Vec<_>) = pins.into_iter().partition(|pin| is_link(pin));
    // Stable: among those of one rank the order of the names stays.
    links.sort_by_key(|link| rank(link));
    found.extend(links.into_iter().map(OwnTrace::Link));
    found.extend(maps.into_iter().map(OwnTrace::Pin));
    found.extend(directories.into_iter().map(OwnTrace::Directory));
    let aside = pin_path.join(FOREIGN);
    let emptied = aside.is_dir() && bpffs::entries(&aside)?.is_empty();
    let own = versions.len() + usize::from(emptied);
    if emptied {
        found.push(OwnTrace::Directory(aside));
    }
    if own > 0 && bpffs::entries(pin_path)?.len() == own {
        found.push(OwnTrace::Directory(pin_path.to_owned()));
    }
    Ok(found)
}

/// What a watchman has moved out of the way of pins of ours. It is somebody else's, so it stays, and its directory.
///
/// # Errors
/// [`KernelError::NoBpffs`], or of the call that failed.
pub fn foreign(pin_path: &Path) -> Result<Vec<PathBuf>, KernelError> {
    bpffs::refuse_others(pin_path)?;
    let mut found = bpffs::entries(&pin_path.join(FOREIGN))?;
    found.sort();
    Ok(found)
}

/// Removes all of it; returns what was there. What cannot be removed does not keep the rest.
///
/// # Errors
/// [`KernelError::NoBpffs`] and [`KernelError::Locked`] before anything is removed. Else of the first call that failed.
pub fn remove_all(pin_path: &Path) -> Result<Vec<OwnTrace>, KernelError> {
    bpffs::refuse_others(pin_path)?;
    let _lock = match PinLock::acquire(pin_path) {
        // Filters outlive pins that somebody has removed.
        Err(KernelError::Path { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        lock => Some(lock?),
    };
    let found = find(pin_path)?;
    let mut failed = packets::clear(pin_path, |_| true).err();
    for trace in &found {
        let (removed, path, call) = match trace {
            OwnTrace::Filter { .. } => continue,
            OwnTrace::Link(pin) | OwnTrace::Pin(pin) => (fs::remove_file(pin), pin, "unlink"),
            OwnTrace::Directory(path) => (fs::remove_dir(path), path, "rmdir"),
        };
        let Err(source) = removed else { continue };
        let mounted = path == pin_path && source.kind() == ErrorKind::ResourceBusy;
        if source.kind() != ErrorKind::NotFound && !mounted {
            failed.get_or_insert_with(|| KernelError::path(path, call, source));
        }
    }
    // An agent that was killed at its start has left it empty.
    if found.is_empty() {
        let _ = fs::remove_dir(pin_path);
    }
    failed.map_or(Ok(found), Err)
}

/// As [`remove_all`], for who does not ask what was there: detaches every program and removes every pin under a pin path. No
/// agent may be running there. Filters of clsact qdiscs are removed from the calling thread's network namespace, so that
/// should be the node's.
///
/// # Errors
/// As there. A pin path that does not exist is no error.
pub fn remove(pin_path: &Path) -> Result<(), KernelError> {
    remove_all(pin_path).map(drop)
}

/// Pins and directories, those that are in others first.
fn walk(dir: &Path, pins: &mut Vec<PathBuf>, directories: &mut Vec<PathBuf>) -> Result<(), KernelError> {
    let mut entries = bpffs::entries(dir)?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() { walk(&entry, pins, directories)? } else { pins.push(entry) }
    }
    directories.push(dir.to_owned());
    Ok(())
}

fn is_link(pin: &Path) -> bool {
    let directory = pin.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    directory.is_some_and(|name| name.starts_with("links"))
}

/// The lower, the sooner it goes.
fn rank(link: &Path) -> usize {
    let name = link.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    DETACH_ORDER.iter().position(|program| *program == name).unwrap_or(DETACH_ORDER.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bpffs_is_cleaned_up() {
        let dir = tempfile::tempdir().unwrap();
        let pin = dir.path().join("v1/links/precious");
        fs::create_dir_all(pin.parent().unwrap()).unwrap();
        fs::write(&pin, "").unwrap();
        let error = remove(dir.path()).unwrap_err();
        assert!(matches!(error, KernelError::NoBpffs { .. }) && pin.exists(), "{error}");
        assert!(matches!(find(dir.path()).unwrap_err(), KernelError::NoBpffs { .. }));
    }

    #[test]
    fn what_rewrites_addresses_goes_before_what_restores_them() {
        let mut links =
            ["ingress-3", "sock_release", "connect4", "recvmsg4_new", "recvmsg4"].map(PathBuf::from);
        links.sort_by_key(|link| rank(link));
        let names: Vec<_> = links.iter().map(|link| link.to_str().unwrap()).collect();
        assert_eq!(names, ["connect4", "recvmsg4", "sock_release", "ingress-3", "recvmsg4_new"]);
        assert!(is_link(Path::new("/p/v4/links/connect4")) && !is_link(Path::new("/p/v4/maps_2/NODE")));
    }
}
