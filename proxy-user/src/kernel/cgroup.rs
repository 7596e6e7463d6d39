//! The cgroup that the socket programs are attached to.

use super::error::KernelError;
use rustix::fs::fstatfs;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2_SUPER_MAGIC: u32 = 0x6367_7270;

/// An open directory of a cgroup v2 hierarchy.
#[derive(Debug)]
pub struct Cgroup {
    dir: File,
    id: u64,
}

impl Cgroup {
    /// Opens a cgroup.
    ///
    /// # Errors
    /// [`KernelError::NotCgroup2`], also where there is no such directory, or [`KernelError::Path`].
    pub fn open(path: &Path) -> Result<Self, KernelError> {
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
        Ok(Self { dir, id })
    }

    /// Id as the kernel reports it of a link to this cgroup.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Where the cgroup v2 hierarchy is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid
/// host. `None` where it is not.
#[must_use]
pub fn mount_point() -> Option<PathBuf> {
    first_cgroup2(&std::fs::read_to_string("/proc/self/mounts").ok()?)
}

/// Lines of proc(5) mounts: device, mount point, type, options.
fn first_cgroup2(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        // A mount point with a blank in it stands there as \040 and is none of systemd's.
        (kind == "cgroup2").then(|| PathBuf::from(path))
    })
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
    fn the_hierarchy_is_found_on_unified_and_hybrid_hosts() {
        let unified = "sysfs /sys sysfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        assert_eq!(first_cgroup2(unified), Some("/sys/fs/cgroup".into()));
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(first_cgroup2(hybrid), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(first_cgroup2("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"), None);
    }

    #[test]
    fn another_file_system_is_refused_with_a_remedy() {
        for path in ["/proc", "/does/not/exist"] {
            let error = Cgroup::open(Path::new(path)).unwrap_err();
            assert!(matches!(error, KernelError::NotCgroup2 { .. }), "{error}");
            assert!(error.is_environment());
        }
    }
}
