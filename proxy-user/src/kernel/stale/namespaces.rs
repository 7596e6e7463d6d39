//! Every network namespace of the machine to which a process or a name leads.
//!
//! One that only an open descriptor or a bind mount elsewhere keeps is not found; a pod's has the process
//! of its sandbox. An agent in a container sees the host's by `hostPID: true`.

use ahash::AHashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where processes are found, each with its network namespace as `<pid>/ns/net`.
pub const PROCESSES: &str = "/proc";

/// Where `ip netns` and the runtimes of a CNI give namespaces names.
pub const NAMES: &str = "/run/netns";

/// The network namespace of a process, below its directory.
const OF_PROCESS: &str = "ns/net";

/// Calls `visit` once with each network namespace, open, under the first path that leads to it; and with
/// each path that could not be followed. What vanishes meanwhile is left out: a process that ends had no
/// socket in its namespace, or another path leads there.
pub fn each(
    processes: &Path,
    names: &Path,
    mut visit: impl FnMut(&Path, io::Result<File>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    // What lies on the kernel's file system of namespaces is one. A name whose mount is gone, or not seen
    // in this mount namespace, is a plain file.
    let own = processes.join("self").join(OF_PROCESS);
    let device = match fs::metadata(&own) {
        Ok(found) => found.dev(),
        Err(error) => return visit(&own, Err(error)),
    };
    let mut seen = AHashSet::new();
    for (directory, below) in [(processes, OF_PROCESS), (names, "")] {
        let paths = match list(directory, below) {
            Ok(paths) => paths,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                visit(directory, Err(error))?;
                continue;
            }
        };
        for path in paths {
            let opened = fs::metadata(&path).and_then(|found| {
                let is_new = found.dev() == device && !seen.contains(&found.ino());
                is_new.then(|| open(&path)).transpose()
            });
            match opened {
                Ok(Some((file, found))) => {
                    if seen.insert(found.ino()) {
                        visit(&path, Ok(file))?;
                    }
                }
                Ok(None) => {}
                Err(error) if has_vanished(&path, &error) => {}
                Err(error) => visit(&path, Err(error))?,
            }
        }
    }
    ControlFlow::Continue(())
}

/// The paths `<directory>/<name>/<below>` of all processes, or of all names if nothing lies below.
fn list(directory: &Path, below: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if below.is_empty() {
            paths.push(directory.join(name));
        } else if name.as_encoded_bytes().iter().all(u8::is_ascii_digit) {
            paths.push(directory.join(name).join(below));
        }
    }
    Ok(paths)
}

/// Opens a namespace, and says which one it is: another one than a moment ago, if the process moved.
fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

/// True if there is nothing to visit any more: a process ended, or a name was removed. Of a process that
/// ends in between the kernel says EACCES (`proc_ns_get_link`), as if it were forbidden.
fn has_vanished(path: &Path, error: &io::Error) -> bool {
    let gone =
        |error: &io::Error| error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH);
    gone(error)
        || (error.kind() == ErrorKind::PermissionDenied
            && path.ancestors().nth(2).is_some_and(|process| fs::metadata(process).is_err_and(|e| gone(&e))))
}

#[cfg(all(test, feature = "lab"))]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn each_namespace_is_visited_once_while_processes_come_and_go() {
        if let Err(reason) = crate::lab::available() {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            return;
        }
        let visit = || {
            let (mut seen, mut troubles) = (BTreeSet::new(), BTreeSet::new());
            let _ = each(Path::new(PROCESSES), Path::new(NAMES), |path, namespace| {
                match namespace.and_then(|file| file.metadata()) {
                    Ok(found) => assert!(seen.insert(found.ino()), "{} comes twice", path.display()),
                    Err(error) => assert!(troubles.insert((path.to_owned(), error.kind()))),
                }
                ControlFlow::Continue(())
            });
            (seen, troubles)
        };
        let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
        // In a container some processes may not be looked at.
        let (_, forbidden) = visit();
        let done = AtomicBool::new(false);
        let rounds = thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // A while as a zombie, then gone.
                    let mut child = Command::new("true").spawn().unwrap();
                    thread::sleep(std::time::Duration::from_micros(500));
                    child.wait().unwrap();
                }
            });
            let rounds: Vec<_> = (0..100).map(|_| visit()).collect();
            done.store(true, Ordering::Relaxed);
            rounds
        });
        for (seen, troubles) in rounds {
            assert_eq!(troubles, forbidden);
            assert!(seen.contains(&own));
        }
    }

    #[test]
    fn a_process_that_ends_in_between_is_none_that_may_not_be_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("7/ns")).unwrap();
        let (running, ended) = (directory.path().join("7/ns/net"), directory.path().join("8/ns/net"));
        let error = |errno| io::Error::from_raw_os_error(errno);
        for (path, errno, vanished) in [
            (&running, libc::EACCES, false),
            (&running, libc::ENOENT, true),
            (&running, libc::ESRCH, true),
            (&running, libc::EMFILE, false),
            (&ended, libc::EACCES, true),
            (&ended, libc::EMFILE, false),
        ] {
            assert_eq!(has_vanished(path, &error(errno)), vanished, "{} {errno}", path.display());
        }
    }
}
