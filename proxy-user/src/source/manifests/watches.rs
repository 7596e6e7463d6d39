//! The directories that inotify must watch so that no change to the manifests goes unseen.
//!
//! Files are never watched themselves: an editor that saves by renaming puts another inode in their
//! place. Watched is each directory in which a name decides what is read: the one of the file, the one
//! of every symbolic link on the way (Kubernetes swaps `..data` of a mounted ConfigMap), and where a
//! name is missing, the directory in which it would appear.

use super::listing::is_manifest;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs,
    path::{Component, Path, PathBuf},
};

/// Symbolic links followed on one path, as in the kernel (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// Directories to watch, by their path without links, and what matters in each.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Watches {
    directories: BTreeMap<PathBuf, Names>,
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Names {
    /// Every manifest in it.
    manifests: bool,
    /// These names.
    names: BTreeSet<OsString>,
}

impl Watches {
    /// What must be watched for `paths`, as things are now.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut watches = Self::default();
        for path in paths {
            let Some(directory) = watches.trace(path).filter(|end| end.is_dir()) else { continue };
            let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
            let links = entries.filter(|entry| {
                is_manifest(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_symlink())
            });
            for link in links {
                watches.trace(&link.path());
            }
            watches.directories.entry(directory).or_default().manifests = true;
        }
        watches
    }

    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.keys().map(PathBuf::as_path)
    }

    /// True where a change at `path`, as inotify reports it, may change what the manifests say.
    pub(super) fn concern(&self, path: &Path) -> bool {
        let inside = path.parent().and_then(|parent| self.directories.get(parent));
        let named = path.file_name().zip(inside).is_some_and(|(name, names)| names.have(name));
        // A watched directory was itself moved or removed.
        named || self.directories.contains_key(path)
    }

    fn add(&mut self, directory: &Path, name: &OsStr) {
        self.directories.entry(directory.to_owned()).or_default().names.insert(name.to_owned());
    }

    /// Walks to `path` as the kernel does, noting the names that decide where it leads. Returns its end,
    /// without links, where there is one.
    fn trace(&mut self, path: &Path) -> Option<PathBuf> {
        let mut at = PathBuf::from("/");
        let mut rest = Vec::new();
        push(&mut rest, &std::path::absolute(path).ok()?);
        let mut links = 0;
        while let Some(step) = rest.pop() {
            let name = match step {
                Step::Root => {
                    at = PathBuf::from("/");
                    continue;
                }
                Step::Up => {
                    at.pop();
                    continue;
                }
                Step::Down(name) => name,
            };
            let next = at.join(&name);
            let Ok(metadata) = fs::symlink_metadata(&next) else {
                self.add(&at, &name);
                return None;
            };
            if metadata.is_symlink() {
                self.add(&at, &name);
                links += 1;
                let target = fs::read_link(&next).ok().filter(|_| links <= MOST_LINKS)?;
                push(&mut rest, &target);
            } else {
                if rest.is_empty() {
                    self.add(&at, &name);
                }
                at = next;
            }
        }
        Some(at)
    }
}

impl Names {
    fn have(&self, name: &OsStr) -> bool {
        self.names.contains(name) || (self.manifests && is_manifest(name))
    }
}

enum Step {
    Root,
    Up,
    Down(OsString),
}

/// Puts the steps of `path` on top of `rest`, the first one uppermost.
fn push(rest: &mut Vec<Step>, path: &Path) {
    rest.extend(path.components().rev().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn every_name_that_decides_is_watched() {
        let temporary = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(temporary.path()).unwrap();
        fs::create_dir_all(root.join("mount/..2026_1")).unwrap();
        fs::write(root.join("mount/..2026_1/web.yaml"), "").unwrap();
        symlink("..2026_1", root.join("mount/..data")).unwrap();
        symlink("..data/web.yaml", root.join("mount/web.yaml")).unwrap();
        symlink("mount/../mount/web.yaml", root.join("link.yaml")).unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        fs::create_dir(root.join("plain")).unwrap();
        fs::write(root.join("plain/x.yaml"), "").unwrap();

        let config_map: &[&str] = &["mount", "mount/..2026_1"];
        // Path, directories that are watched, changes that matter, changes that do not.
        type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
        let table: [Row<'_>; 6] = [
            ("plain/x.yaml", &["plain"], &["plain/x.yaml", "plain"], &["plain/y.yaml", "x.yaml"]),
            (
                "plain",
                &["", "plain"],
                &["plain/x.yaml", "plain/new.json", "plain"],
                &["plain/x.txt", "mount"],
            ),
            (
                "mount/web.yaml",
                config_map,
                &["mount/web.yaml", "mount/..data", "mount/..2026_1/web.yaml"],
                &["mount/dns.yaml"],
            ),
            ("link.yaml", &["", "mount", "mount/..2026_1"], &["link.yaml", "mount/..data"], &["mount/x"]),
            ("missing/x.yaml", &[""], &["missing"], &["x.yaml"]),
            ("a", &[""], &["a", "b"], &["c"]),
        ];
        for (path, directories, concern, indifferent) in table {
            let watches = Watches::of(&[root.join(path)]);
            let expected: Vec<_> = directories.iter().map(|name| root.join(name)).collect();
            // `join("")` leaves a slash at the end, which the comparison of paths ignores.
            assert_eq!(watches.directories().collect::<Vec<_>>(), expected, "{path}");
            for name in concern {
                assert!(watches.concern(&root.join(name)), "{path}: {name}");
            }
            for name in indifferent {
                assert!(!watches.concern(&root.join(name)), "{path}: {name}");
            }
        }
    }
}
