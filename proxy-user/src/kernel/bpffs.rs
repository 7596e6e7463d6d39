//! The pin path: a directory on a bpffs, with one sub-directory per version of the map ABI.
//!
//! ```text
//! <pin path>/v4/maps/FRONTENDS4 …          see [`transition`](super::transition) for maps_2 and so on
//! <pin path>/v4/links/connect4 …
//! ```

use super::error::KernelError;
use super::transition::instance::{self, Instances};
use proxy_common::abi::ABI_VERSION;
use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount};
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// `BPF_FS_MAGIC` of linux/magic.h.
const BPF_FS_MAGIC: u32 = 0xcafe_4a11;

/// Where bpftool, Cilium and systemd mount the bpffs too.
const DEFAULT_MOUNT: &str = "/sys/fs/bpf";

/// The directories of one pin path and this version of the map ABI.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinDirs {
    /// What all of this version is in.
    pub version: PathBuf,
    /// Which instance of the maps it is.
    pub number: u32,
    /// Where its maps are pinned, by name.
    pub maps: PathBuf,
    /// Where links are pinned, by program.
    pub links: PathBuf,
}

impl PinDirs {
    /// The directories under a pin path: of the newest instance, or of the first where there is none.
    #[must_use]
    pub fn new(pin_path: &Path) -> Self {
        let version = pin_path.join(directory(ABI_VERSION));
        let found = Instances::of(&version).ok().and_then(|found| found.whole.last().copied());
        Self::instance(version, found.unwrap_or(1))
    }

    /// The directories of an instance, whether they exist or not.
    pub fn instance(version: PathBuf, number: u32) -> Self {
        let (maps, links) = (version.join(instance::directory(number)), version.join("links"));
        Self { version, number, maps, links }
    }

    /// The same while it is not whole.
    pub fn unfinished(self) -> Self {
        Self { maps: self.version.join(instance::unfinished(self.number)), ..self }
    }

    /// Makes the directories, for root only.
    ///
    /// # Errors
    /// [`KernelError::Path`].
    pub fn create(&self) -> Result<(), KernelError> {
        create_dir(&self.maps)?;
        self.create_links()
    }

    /// Makes that of links alone.
    ///
    /// # Errors
    /// [`KernelError::Path`].
    pub fn create_links(&self) -> Result<(), KernelError> {
        create_dir(&self.links)
    }
}

/// Makes the pin path, and mounts the bpffs at /sys/fs/bpf where the path lies under it and nothing
/// is mounted there yet; true if it did that.
///
/// # Errors
/// [`KernelError::NoBpffs`], or [`KernelError::Path`] where mount(2) or mkdir(2) fails.
pub fn ensure(pin_path: &Path) -> Result<bool, KernelError> {
    let mounts = !is_on_bpffs(pin_path)?;
    if mounts {
        let no_bpffs = || KernelError::NoBpffs { path: pin_path.to_owned() };
        if !pin_path.starts_with(DEFAULT_MOUNT) || !Path::new(DEFAULT_MOUNT).exists() {
            return Err(no_bpffs());
        }
        mount(
            "bpf",
            DEFAULT_MOUNT,
            "bpf",
            MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            c"mode=0700",
        )
        .map_err(|source| match source.kind() {
            ErrorKind::PermissionDenied => {
                KernelError::Privileges { call: "mount bpffs at /sys/fs/bpf", capability: "CAP_SYS_ADMIN" }
            }
            _ => KernelError::path(DEFAULT_MOUNT, "mount", source),
        })?;
        if !is_on_bpffs(pin_path)? {
            return Err(no_bpffs());
        }
    }
    create_dir(pin_path)?;
    Ok(mounts)
}

/// Refuses a directory on another file system: what lies there is no pin, whatever it is called.
///
/// # Errors
/// [`KernelError::NoBpffs`], or [`KernelError::Path`].
pub fn refuse_others(pin_path: &Path) -> Result<(), KernelError> {
    if pin_path.exists() && !is_on_bpffs(pin_path)? {
        return Err(KernelError::NoBpffs { path: pin_path.to_owned() });
    }
    Ok(())
}

/// True if the path, or its nearest ancestor that exists, is on a bpffs.
fn is_on_bpffs(path: &Path) -> Result<bool, KernelError> {
    let mut nearest = path;
    loop {
        match statfs(nearest) {
            Ok(stats) => return Ok(stats.f_type as u32 == BPF_FS_MAGIC),
            Err(rustix::io::Errno::NOENT) => {
                nearest = match nearest.parent() {
                    Some(parent) if !parent.as_os_str().is_empty() => parent,
                    _ => return Ok(false),
                };
            }
            Err(source) => return Err(KernelError::path(nearest, "statfs", source)),
        }
    }
}

fn create_dir(path: &Path) -> Result<(), KernelError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| KernelError::path(path, "mkdir", source))
}

/// Removes what is pinned of the other versions of the ABI, links in `link_order` first; returns which there were.
///
/// # Errors
/// [`KernelError::Path`]; what could be removed before is.
pub fn clear_others(pin_path: &Path, link_order: &[&str]) -> Result<Vec<String>, KernelError> {
    let others: Vec<_> =
        versions(pin_path)?.into_iter().filter(|name| *name != directory(ABI_VERSION)).collect();
    for version in &others {
        clear_version(&pin_path.join(version), link_order)?;
    }
    Ok(others)
}

/// The versions of the ABI that have a directory in the pin path.
pub(super) fn versions(pin_path: &Path) -> Result<Vec<String>, KernelError> {
    let names =
        entries(pin_path)?.into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    Ok(names.filter(|name| is_version(name)).collect())
}

/// Removes what is pinned of one version: what writes first (links of connect and sendmsg), then what restores,
/// then the maps.
///
/// # Errors
/// [`KernelError::Path`].
pub fn clear_version(version: &Path, link_order: &[&str]) -> Result<(), KernelError> {
    let links = version.join("links");
    let ordered = link_order.iter().map(|link| links.join(link));
    for pin in ordered.chain(entries(&links)?) {
        ignore_missing(fs::remove_file(&pin), &pin, "unlink")?;
    }
    let found = Instances::of(version)?;
    let whole = found.whole.into_iter().map(|number| version.join(instance::directory(number)));
    for maps in whole.chain(found.unfinished) {
        instance::remove(&maps)?;
    }
    for dir in [&links, &version.join("unfilled"), version] {
        ignore_missing(fs::remove_dir(dir), dir, "rmdir")?;
    }
    Ok(())
}

/// What is in a directory; nothing if there is none.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let failed = |source| KernelError::path(dir, "read directory", source);
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(failed(source)),
    }
}

/// Name of the directory of this version of the ABI.
#[must_use]
pub fn current() -> String {
    directory(ABI_VERSION)
}

/// The version of the ABI that a path below the pin path belongs to.
#[must_use]
pub fn version_of(below: &Path) -> Option<&str> {
    below.components().next()?.as_os_str().to_str().filter(|name| is_version(name))
}

/// Name of the directory of a version of the ABI.
fn directory(version: u32) -> String {
    format!("v{version}")
}

fn is_version(name: &str) -> bool {
    name.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok())
}

fn ignore_missing(result: std::io::Result<()>, path: &Path, call: &'static str) -> Result<(), KernelError> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.map_err(|source| KernelError::path(path, call, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_abi_versions_are_ours() {
        assert!(is_version("v1") && is_version("v12"));
        assert!(!is_version("v") && !is_version("1") && !is_version("vx") && !is_version("cilium"));
    }

    #[test]
    fn a_path_that_does_not_exist_is_on_no_other_file_system() {
        refuse_others(&tempfile::tempdir().unwrap().path().join("nowhere")).unwrap();
    }

    #[test]
    fn a_pin_path_on_another_file_system_is_refused_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let error = ensure(&path).unwrap_err();
        assert!(matches!(error, KernelError::NoBpffs { .. }), "{error}");
        assert!(error.is_environment() && !dir.path().join("a").exists());
    }
}
