//! Where cgroup v2 hierarchies are mounted, and which part of the tree each mount shows: proc_pid_mountinfo(5).

use std::path::{Path, PathBuf};

/// A mount of the cgroup v2 hierarchy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mount {
    /// Which cgroup it shows, as seen from the reader's cgroup namespace: `/` is that namespace's root, and `/..` lies
    /// outside of it.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
}

/// The mounts of a process's mount namespace, in their order.
pub fn read(process: &str) -> Vec<Mount> {
    let text = std::fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap_or_default();
    parse(&text, "cgroup2")
}

/// Whether controllers of cgroup v1 are mounted in a directory.
pub fn has_v1(path: &Path) -> bool {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    parse(&text, "cgroup").iter().any(|mount| mount.point.parent() == Some(path))
}

/// Lines such as `41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:5 - cgroup2 cgroup2 rw`.
fn parse(mountinfo: &str, kind: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
        (filesystem.split(' ').next() == Some(kind)).then_some(Mount { root, point })
    };
    mountinfo.lines().filter_map(mount).collect()
}

/// Space, tab, newline and backslash stand there as `\040`, `\011`, `\012` and `\134`.
fn unescape(text: &str) -> PathBuf {
    let mut plain = text.to_owned();
    for (escaped, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        plain = plain.replace(escaped, character);
    }
    PathBuf::from(plain)
}

/// A process's cgroup in the v2 hierarchy, as seen from the reader's cgroup namespace: the line `0::/path` of
/// /proc/PID/cgroup.
pub fn membership(cgroup: &str) -> Option<&Path> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(root: &str, point: &str) -> Mount {
        Mount { root: root.into(), point: point.into() }
    }

    #[test]
    fn the_hierarchy_is_found_on_unified_and_hybrid_hosts() {
        let unified = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(parse(unified, "cgroup2"), [mount("/", "/sys/fs/cgroup")]);
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                      40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:5 - cgroup2 cgroup2 rw\n";
        assert_eq!(parse(hybrid, "cgroup2"), [mount("/", "/sys/fs/cgroup/unified")]);
        let old = "40 31 0:37 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert_eq!(parse(old, "cgroup2"), []);
        assert_eq!(parse(old, "cgroup"), [mount("/", "/sys/fs/cgroup/cpu")]);
    }

    #[test]
    fn a_container_shows_its_own_cgroup_and_what_it_was_given_of_the_host() {
        let container = "70 60 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n\
                         71 60 0:26 /../../.. /host/cgroup ro - cgroup2 cgroup2 rw\n\
                         72 60 0:26 / /mnt/my\\040cgroup ro - cgroup2 cgroup rw\n";
        let wanted =
            [mount("/", "/sys/fs/cgroup"), mount("/../../..", "/host/cgroup"), mount("/", "/mnt/my cgroup")];
        assert_eq!(parse(container, "cgroup2"), wanted);
    }

    #[test]
    fn membership_is_the_line_of_the_second_version() {
        assert_eq!(
            membership("9:cpu:/a\n0::/system.slice/a.service\n"),
            Some(Path::new("/system.slice/a.service"))
        );
        assert_eq!(membership("9:cpu:/a\n"), None);
    }
}
