//! Where this process is in the cgroup v2 tree, as a path in the file system.

use super::LabError;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A cgroup2 mount: which part of the tree it shows, and where.
struct Mount {
    root: PathBuf,
    point: PathBuf,
}

/// The directory of the process's own cgroup, whether cgroup2 is the only tree (`/sys/fs/cgroup`), beside
/// v1 (`/sys/fs/cgroup/unified`) or partly shown in a container.
pub(super) fn own() -> Result<PathBuf, LabError> {
    let read = |path| fs::read_to_string(path).map_err(|error| LabError::new("read", path, error));
    let mountinfo = read("/proc/self/mountinfo")?;
    let membership = read("/proc/self/cgroup")?;
    locate(&mountinfo, &membership).ok_or_else(|| {
        let error = io::Error::new(io::ErrorKind::NotFound, "no cgroup2 mount shows this process's cgroup");
        LabError::new("search", "/proc/self/mountinfo", error)
    })
}

fn locate(mountinfo: &str, membership: &str) -> Option<PathBuf> {
    // The v2 line of /proc/self/cgroup is `0::/path`.
    let own = Path::new(membership.lines().find_map(|line| line.strip_prefix("0::"))?);
    mountinfo.lines().filter_map(cgroup2_mount).find_map(|mount| {
        let below = own.strip_prefix(&mount.root).ok()?;
        Some(if below.as_os_str().is_empty() { mount.point } else { mount.point.join(below) })
    })
}

/// proc_pid_mountinfo(5): `id parent major:minor root point options optional… - type source options`.
fn cgroup2_mount(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    if filesystem.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let mut fields = mount.split(' ').skip(3);
    Some(Mount { root: unescape(fields.next()?), point: unescape(fields.next()?) })
}

/// mountinfo writes space, tab, newline and backslash as `\040`, `\011`, `\012` and `\134`.
fn unescape(text: &str) -> PathBuf {
    let mut plain = text.to_owned();
    for (escaped, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        plain = plain.replace(escaped, character);
    }
    PathBuf::from(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:5 - cgroup2 cgroup2 rw";
    const UNIFIED: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
    const CONTAINER: &str = "70 60 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw";
    const SPACE: &str = "70 60 0:26 / /mnt/my\\040cgroup rw - cgroup2 cgroup rw";

    #[test]
    fn the_own_cgroup_is_found_in_every_layout() {
        for (mountinfo, membership, want) in [
            (HYBRID, "8:pids:/x\n0::/", Some("/sys/fs/cgroup/unified")),
            (UNIFIED, "0::/user.slice/a.scope", Some("/sys/fs/cgroup/user.slice/a.scope")),
            (CONTAINER, "0::/docker/abc", Some("/sys/fs/cgroup")),
            (CONTAINER, "0::/docker/abc/child", Some("/sys/fs/cgroup/child")),
            (CONTAINER, "0::/elsewhere", None),
            (SPACE, "0::/", Some("/mnt/my cgroup")),
            (HYBRID, "8:pids:/x", None),
            ("", "0::/", None),
        ] {
            assert_eq!(locate(mountinfo, membership), want.map(PathBuf::from), "{mountinfo} {membership}");
        }
    }
}
