//! The bpf(2) calls of a process, by command and map, as strace(1) saw them.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    process::Command,
};

/// What changes what a map holds.
const WRITES: [&str; 6] = [
    "BPF_MAP_UPDATE_ELEM",
    "BPF_MAP_DELETE_ELEM",
    "BPF_MAP_UPDATE_BATCH",
    "BPF_MAP_DELETE_BATCH",
    "BPF_MAP_LOOKUP_AND_DELETE_ELEM",
    "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
];

/// The same command, with strace beside it, which writes to `file`. The process that is started is the command's own.
pub fn traced(command: &Command, file: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args([
        "-D",
        "-f",
        "--seccomp-bpf",
        "-e",
        "trace=bpf,fcntl",
        "-e",
        "signal=none",
        "-s",
        "256",
        "-o",
    ]);
    strace.arg(file).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace
}

/// Whether the command has ended, and all of it is in the file.
pub fn has_ended(file: &Path, id: u32) -> bool {
    let trace = fs::read_to_string(file).unwrap();
    trace.lines().any(|line| line.starts_with(&format!("{id} ")) && line.contains("+++ "))
}

/// Writing calls by command and name of the map, and how many bpf(2) calls there were in all.
pub fn writes(file: &Path) -> (BTreeMap<(String, String), usize>, usize) {
    let trace = fs::read_to_string(file).unwrap();
    let (mut names, mut begun) = (HashMap::new(), HashMap::new());
    let (mut writes, mut calls) = (BTreeMap::new(), 0);
    for line in trace.lines() {
        let (thread, line) = line.split_once(' ').unwrap();
        // A call during which another thread made one stands in two lines.
        let line = match (line.split_once("<unfinished"), line.split_once("resumed>")) {
            (Some((first, _)), _) => {
                begun.insert(thread.to_owned(), first.to_owned());
                continue;
            }
            (_, Some((_, rest))) => begun.remove(thread).unwrap() + rest,
            _ => line.to_owned(),
        };
        let line = line.trim_start();
        let result = line.rsplit_once(" = ").map(|(_, result)| result.split(' ').next().unwrap());
        if let Some(arguments) = line.strip_prefix("fcntl(") {
            let mut arguments = arguments.split([',', ')']).map(str::trim);
            let (from, what) = (arguments.next().unwrap().to_owned(), arguments.next().unwrap());
            if what.starts_with("F_DUPFD")
                && let (Some(name), Some(to)) = (names.get(&from).cloned(), result)
            {
                names.insert(to.to_owned(), name);
            }
            continue;
        }
        let Some(arguments) = line.strip_prefix("bpf(") else { continue };
        calls += 1;
        let command = arguments.split(',').next().unwrap();
        let after =
            |key: &str, end: &[char]| Some(arguments.split_once(key)?.1.split(end).next()?.to_owned());
        match command {
            "BPF_OBJ_GET" => {
                if let (Some(path), Some(fd)) = (after("pathname=\"", &['"']), result) {
                    names.insert(fd.to_owned(), path.rsplit('/').next().unwrap().to_owned());
                }
            }
            "BPF_MAP_CREATE" => {
                let kind = after("map_type=", &[',']).unwrap();
                let name = after("map_name=\"", &['"']).filter(|name| !name.is_empty()).unwrap_or(kind);
                names.extend(result.map(|fd| (fd.to_owned(), name)));
            }
            command if WRITES.contains(&command) => {
                let fd = after("map_fd=", &[',', '}']).unwrap();
                let map = names.get(&fd).cloned().unwrap_or_else(|| format!("descriptor {fd}"));
                *writes.entry((command.to_owned(), map)).or_default() += 1;
            }
            _ => {}
        }
    }
    (writes, calls)
}
