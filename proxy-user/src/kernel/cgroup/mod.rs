//! The cgroup that the socket programs are attached to.
//!
//! A socket belongs to the cgroup of the process that made it, so all sockets of a node are those of its root cgroup. On a
//! host that is where the cgroup v2 hierarchy is mounted. A container mostly sees its own cgroup there and takes it for the
//! root (cgroup_namespaces(7)); the node's it sees by a mount that it was given.

mod mounts;

use super::error::KernelError;
use mounts::membership;
use rustix::fs::fstatfs;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2_SUPER_MAGIC: u32 = 0x6367_7270;

/// Id of the cgroup that every process of the machine is in or below (Linux 5.5, commit 40430452fd5d).
const ROOT: u64 = 1;

/// Where the hierarchy is mounted, below /sys/fs/cgroup, beside cgroup v1.
const HYBRID: &str = "unified";

/// Where it is mounted by everybody.
const USUAL: &str = "/sys/fs/cgroup";

/// An open directory of a cgroup v2 hierarchy.
#[derive(Debug)]
pub struct Cgroup {
    dir: File,
    id: u64,
    path: PathBuf,
}

impl Cgroup {
    /// Opens a cgroup. Where cgroup v1 is mounted at `path`, the hierarchy is looked for in its directory `unified`; if it is
    /// mounted nowhere, it is opened without being mounted.
    ///
    /// # Errors
    /// [`KernelError::NotCgroup2`], also where there is no such directory, or [`KernelError::Path`].
    pub fn open(path: &Path) -> Result<Self, KernelError> {
        match Self::open_dir(path) {
            Err(error @ KernelError::NotCgroup2 { .. }) => {
                if let Ok(hybrid) = Self::open_dir(&path.join(HYBRID)) {
                    return Ok(hybrid);
                }
                let is_v1 = path == Path::new(USUAL) || mounts::has_v1(path);
                if is_v1 && mounts::read("self").is_empty() {
                    return Self::unmounted().map_err(|_| error);
                }
                Err(error)
            }
            opened => opened,
        }
    }

    fn open_dir(path: &Path) -> Result<Self, KernelError> {
        let not_cgroup2 = || KernelError::NotCgroup2 { path: path.to_owned(), remedy: remedy() };
        let dir = File::open(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound if path.parent().is_none_or(|parent| !parent.is_dir()) => not_cgroup2(),
            _ => KernelError::path(path, "open", source),
        })?;
        let stats = fstatfs(&dir).map_err(|source| KernelError::path(path, "statfs", source))?;
        if stats.f_type as u32 != CGROUP2_SUPER_MAGIC {
            return Err(not_cgroup2());
        }
        // On 64-bit systems a cgroup's id is its inode number (Linux 5.5, commit 40430452fd5d).
        let id = dir.metadata().map_err(|source| KernelError::path(path, "stat", source))?.ino();
        Ok(Self { dir, id, path: path.to_owned() })
    }

    /// The hierarchy of a host that has mounted only cgroup v1: every kernel has both, and every process is in its root. A
    /// mount that has no place (Linux 5.2) is seen by nobody else.
    fn unmounted() -> rustix::io::Result<Self> {
        let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        let dir = File::from(mount);
        let id = rustix::fs::fstat(&dir)?.st_ino;
        Ok(Self { dir, id, path: USUAL.into() })
    }

    /// Id as the kernel reports it of a link to this cgroup.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The path that it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether all sockets of the machine belong to it or to one below it.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.id == ROOT
    }

    /// Whether it is what a container takes for the root: the cgroup that this very process is in, and the root of its
    /// cgroup namespace, but not the machine's. No socket of the node's pods belongs to it.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        if self.is_root() {
            return false;
        }
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if membership(&own) != Some(Path::new("/")) {
            return false;
        }
        // This process is in its namespace's root. That is the cgroup in question if some mount shows it as `/`.
        let mounts = mounts::read("self");
        mounts
            .iter()
            .filter(|mount| mount.root == Path::new("/"))
            .any(|mount| id_of(&mount.point) == Some(self.id))
    }

    /// Refuses a cgroup that [`Self::is_narrow`], and names the mount that is missing.
    ///
    /// # Errors
    /// [`KernelError::NarrowCgroup`].
    pub fn refuse_narrow(&self) -> Result<(), KernelError> {
        if !self.is_narrow() {
            return Ok(());
        }
        let better = mount_point().filter(|path| id_of(path).is_some_and(|id| id != self.id));
        let remedy = match better {
            Some(path) => format!("give --cgroup {}", path.display()),
            None => "mount the node's /sys/fs/cgroup into the container (in Kubernetes a volume of type hostPath with \
                     path: /sys/fs/cgroup, at /host/cgroup) and give --cgroup /host/cgroup"
                .to_owned(),
        };
        Err(KernelError::NarrowCgroup { path: self.path.clone(), remedy })
    }

    /// Whether it still exists. The descriptor of one that was removed stays, and programs attached to it run for nobody.
    #[must_use]
    pub fn exists(&self) -> bool {
        rustix::fs::statat(&self.dir, "cgroup.procs", rustix::fs::AtFlags::empty()).is_ok()
    }

    /// It and those above it, nearest first, as far as the mount shows them.
    pub(in crate::kernel) fn and_ancestors(&self) -> impl Iterator<Item = File> {
        let mut next = self.dir.try_clone().ok();
        // A hierarchy is less deep than a path is long.
        std::iter::from_fn(move || {
            let dir = next.take()?;
            next = above(&dir);
            Some(dir)
        })
        .take(256)
    }
}

/// The parent of a cgroup; `None` of the root of the mount.
fn above(dir: &File) -> Option<File> {
    use rustix::fs::{Mode, OFlags, openat};
    let parent =
        openat(dir, "..", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let parent = File::from(parent);
    let ino = |file: &File| file.metadata().map(|metadata| metadata.ino()).ok();
    let is_cgroup = fstatfs(&parent).is_ok_and(|stats| stats.f_type as u32 == CGROUP2_SUPER_MAGIC);
    (is_cgroup && ino(&parent) != ino(dir)).then_some(parent)
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Where the node's cgroup v2 hierarchy is seen: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid host. Of several
/// mounts it is one that shows the machine's root, else one that shows more than this process's own cgroup namespace; in a
/// container that shares the host's process ids, the host's own mount where no other does. `None` where it is not mounted.
#[must_use]
pub fn mount_point() -> Option<PathBuf> {
    let own = mounts::read("self");
    let is_root = |path: &PathBuf| id_of(path) == Some(ROOT);
    let root = own.iter().map(|mount| mount.point.clone()).find(is_root);
    root.or_else(|| {
        // Not /proc/1/root itself: that is the root of this very process in a container with process ids of its own.
        let host =
            mounts::read("1").into_iter().map(|mount| Path::new("/proc/1/root").join(below(&mount.point)));
        host.into_iter().find(is_root)
    })
    .or_else(|| own.iter().find(|mount| mount.root.starts_with("/..")).map(|mount| mount.point.clone()))
    .or_else(|| own.first().map(|mount| mount.point.clone()))
}

fn below(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn id_of(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

fn remedy() -> String {
    match mount_point() {
        Some(path) => format!("it is mounted at {}", path.display()),
        None => "mount it with `mount -t cgroup2 none <directory>` or boot with \
                 systemd.unified_cgroup_hierarchy=1"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_system_is_refused_with_a_remedy() {
        for path in ["/proc", "/does/not/exist"] {
            let error = Cgroup::open(Path::new(path)).unwrap_err();
            assert!(matches!(error, KernelError::NotCgroup2 { .. }), "{error}");
            assert!(error.is_environment());
        }
    }
}
