//! The agent as a process: the options that it was started with, and its files as they are seen from here.

use crate::{
    cli::{args::Command, config, run_args::RunArgs},
    kernel::Holder,
};
use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

/// Options that name a file that is read while options are parsed.
const FILES: [&str; 2] = ["--config", "--kube-proxy-config"];

/// The options that a process was started with. Paths in them are as they are seen from here.
///
/// # Errors
/// Why they cannot be read, for people: it is no `shunt run`, or its files have become wrong since it began.
pub fn options_of(pid: u32) -> Result<RunArgs, String> {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}"));
    let line = read("cmdline").map_err(|error| format!("/proc/{pid}/cmdline: {error}"))?;
    let place = Place::of(pid);
    let mut argv = words(&line);
    place.find_files(&mut argv);
    // Its environment is not this process's.
    if !argv.iter().any(|word| word == "--node" || word.as_bytes().starts_with(b"--node="))
        && let Some(node) = read("environ").ok().and_then(|all| node_name(&all))
    {
        argv.push(node);
    }
    match config::parse(&argv).map_err(|failure| failure.to_string())?.command {
        Command::Run(mut run) => {
            let paths = run.manifests.iter_mut().chain(&mut run.cgroup).chain(&mut run.cluster.kubeconfig);
            paths.for_each(|path| *path = place.find(path));
            Ok(*run)
        }
        _ => Err("it is no `shunt run`".to_owned()),
    }
}

/// The agent that has this pin path in its options, whoever holds the lock.
pub fn with_pin_path(pin_path: &Path) -> Option<Holder> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        is_agent(&words(&line)) && options_of(*pid).is_ok_and(|run| run.pins.pin_path == pin_path)
    })?;
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(Holder { pid, command: command.trim_end().to_owned() })
}

fn is_agent(argv: &[OsString]) -> bool {
    let program = argv.first().and_then(|program| Path::new(program).file_name());
    program == Some(OsStr::new("shunt")) && argv.iter().any(|word| word == "run")
}

/// The words of proc(5) cmdline, each with a NUL behind it. A word may be empty.
fn words(line: &[u8]) -> Vec<OsString> {
    let line = line.strip_suffix(b"\0").unwrap_or(line);
    line.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect()
}

/// `--node` with what NODE_NAME says in proc(5) environ.
fn node_name(environ: &[u8]) -> Option<OsString> {
    let name = environ.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"NODE_NAME="))?;
    (!name.is_empty()).then(|| OsString::from_vec([b"--node=", name].concat()))
}

/// Where a process sees its files.
struct Place {
    root: PathBuf,
    cwd: PathBuf,
}

impl Place {
    fn of(pid: u32) -> Self {
        Self { root: format!("/proc/{pid}/root").into(), cwd: format!("/proc/{pid}/cwd").into() }
    }

    /// A path that lies in its container only is taken from there, a relative one from its directory.
    fn find(&self, path: &Path) -> PathBuf {
        let Ok(below) = path.strip_prefix("/") else { return self.cwd.join(path) };
        let there = self.root.join(below);
        if !path.exists() && there.exists() { there } else { path.to_owned() }
    }

    fn find_files(&self, argv: &mut [OsString]) {
        let mut is_file = false;
        for word in argv {
            let option = FILES.iter().find(|option| {
                word.as_bytes().strip_prefix(option.as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
            });
            if is_file {
                *word = self.find(Path::new(word)).into();
            } else if let Some(option) = option {
                let path = self.find(Path::new(OsStr::from_bytes(&word.as_bytes()[option.len() + 1..])));
                *word = [OsStr::new(option), OsStr::new("="), path.as_os_str()].into_iter().collect();
            }
            is_file = !is_file && FILES.iter().any(|option| word == option);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_word_is_a_word() {
        assert_eq!(words(b"shunt\0run\0--metrics-address\0\0"), ["shunt", "run", "--metrics-address", ""]);
        assert_eq!(words(b"shunt\0run\0"), ["shunt", "run"]);
    }

    #[test]
    fn a_path_is_found_as_its_process_sees_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("host/cgroup")).unwrap();
        let place = Place { root: root.path().to_owned(), cwd: "/proc/1/cwd".into() };
        assert_eq!(place.find(Path::new("/host/cgroup")), root.path().join("host/cgroup"));
        assert_eq!(place.find(Path::new("/proc")), Path::new("/proc"));
        assert_eq!(place.find(Path::new("/no/such/path")), Path::new("/no/such/path"));
        let mut argv = ["run", "--config", "c.yaml", "--config=d.yaml", "--node", "x"].map(OsString::from);
        place.find_files(&mut argv);
        let found = ["run", "--config", "/proc/1/cwd/c.yaml", "--config=/proc/1/cwd/d.yaml", "--node", "x"];
        assert_eq!(argv, found.map(OsString::from));
    }

    #[test]
    fn the_node_has_the_name_of_the_agents_environment() {
        assert_eq!(node_name(b"A=1\0NODE_NAME=n1\0"), Some("--node=n1".into()));
        assert_eq!(node_name(b"NODE_NAME=\0"), None);
    }
}
