//! Pins: whether a bpffs is there, what lies in it of which version, and whether the maps can be opened.

use super::{
    faults::{self, Meaning},
    sockets::in_effect,
};
use crate::{
    cli::doctor::{
        finding::{Check, State},
        subject::Subject,
    },
    kernel::{
        Cgroup, KernelError, PROGRAMS, PinnedMaps,
        watchman::{Fault, Finding},
    },
};
use proxy_common::abi::ABI_VERSION;
use rustix::fs::statfs;
use serde_json::json;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// `BPF_FS_MAGIC` of linux/magic.h.
const BPF_FS_MAGIC: u32 = 0xcafe_4a11;

/// Looks at the pins below the pin path.
pub fn pins(subject: &Subject, maps: &Result<PinnedMaps, KernelError>, found: &[Finding]) -> Check {
    let mut check = Check::new("pins");
    let (path, current) = (subject.pin_path.display(), format!("v{ABI_VERSION}"));
    check.fact("pin_path", path.to_string());
    check.fact("version", current.as_str());
    match is_on_bpffs(&subject.pin_path) {
        Ok(true) => {}
        Ok(false) => {
            check.see(format!("{path} is on no bpffs"));
            unmounted(&mut check, subject);
            return check;
        }
        Err(error) => {
            check.see(format!("{path}: {error}"));
            check.unseen("pin-path", &format!("{path}"), &error);
            return check;
        }
    }
    let versions = match versions(&subject.pin_path) {
        Ok(versions) => versions,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            check.see(format!("{path}: {error}"));
            check.unseen("pin-path", &format!("{path}"), &error);
            return check;
        }
    };
    let others = versions.iter().filter(|version| version.name != current);
    for version in &versions {
        let Version { name, instances, links } = version;
        let shown =
            instances.iter().map(|(directory, count)| format!("{count} {directory}")).collect::<Vec<_>>();
        check.see(format!("{path}/{name}: {}, {links} links", shown.join(", ")));
    }
    if versions.is_empty() {
        check.see(format!("{path}: nothing is pinned"));
    }
    let instance = |(directory, maps): &(String, usize)| json!({"directory": directory, "maps": maps});
    let of = |version: &Version| {
        let instances = version.instances.iter().map(instance).collect::<Vec<_>>();
        json!({"version": version.name, "instances": instances, "links": version.links})
    };
    check.fact("versions", versions.iter().map(of).collect::<Vec<_>>());
    let faults: Vec<_> = found.iter().filter(|finding| is_pin(finding)).collect();
    faults::note(&mut check, &faults, faults::usual, |fault| meaning(fault, subject));
    if let (Err(error), true) = (maps, faults.is_empty()) {
        check.unseen("maps", "the maps", error);
    }
    for version in versions.iter().filter(|version| version.instances.len() > 1) {
        let severity = if subject.is_held() { State::Notice } else { State::Degraded };
        check.find(
            (severity, "unfinished-transition"),
            format!("{path}/{} has {} sets of maps", version.name, version.instances.len()),
            "maps are being replaced by larger ones, or whoever did that has ended; until it is done they take twice the memory",
            "an agent that runs ends it within seconds; without one start the agent, which goes on with it",
        );
    }
    for other in others {
        let serves = if other.links == 0 {
            "its maps take kernel memory"
        } else {
            "its programs run beside this version's, over maps that nobody keeps"
        };
        check.find(
            (State::Degraded, "other-layout"),
            format!("{path}/{} is of another map layout than this version's, {current}", other.name),
            format!("what another version has left was not taken over yet: {serves}"),
            format!(
                "start the agent of this version, which takes it over and removes it; or, without it: {}",
                cleanup(subject)
            ),
        );
    }
    check
}

/// Programs that run all the same are held by descriptors alone: whoever ends that process ends them.
fn unmounted(check: &mut Check, subject: &Subject) {
    let path = subject.pin_path.display();
    let running = Cgroup::open(&subject.cgroup).map(|cgroup| in_effect(&cgroup).len()).unwrap_or_default();
    check.fact("in_effect", running);
    let what = format!("no bpffs is mounted where {path} lies");
    let mount = mount(&subject.pin_path);
    if running == 0 {
        check.find(
            (State::Critical, "no-bpffs"),
            what,
            "without a mount there are no pins: maps and programs end with the agent, and none can take over",
            format!("{mount}\nthen start the agent again"),
        );
        return;
    }
    let holder = subject
        .agent_pid()
        .map_or_else(|| "a process that is not seen from here".to_owned(), |pid| format!("process {pid}"));
    check.find(
        (State::Degraded, "no-bpffs"),
        format!("{what}; {running} programs are in effect and are held by {holder} alone"),
        "they end with that process, and connections to Services with them; no other agent can take over",
        format!("{mount}\nthe agent pins them again within seconds. Do NOT end or restart it before"),
    );
}

/// What mounts a bpffs that the pin path then lies on.
fn mount(pin_path: &Path) -> String {
    const USUAL: &str = "/sys/fs/bpf";
    if pin_path.starts_with(USUAL) {
        return format!("mount -t bpf bpf {USUAL}   or: shunt mount-bpffs --pin-path {}", pin_path.display());
    }
    let parent = pin_path.parent().unwrap_or(pin_path).display();
    format!("mkdir -p {parent}; mount -t bpf bpf {parent}")
}

/// What lies there of one version of the map layout.
#[derive(Debug)]
struct Version {
    name: String,
    /// Directories of maps, each with how many there are: one, unless the maps are being replaced by larger ones.
    instances: Vec<(String, usize)>,
    links: usize,
}

/// Whether a finding is about maps and what they lie on.
fn is_pin(finding: &Finding) -> bool {
    let name = finding.hook.name;
    finding.hook.device.is_none() && name != "cgroup" && !PROGRAMS.iter().any(|(program, _)| *program == name)
}

fn meaning(fault: Fault, subject: &Subject) -> Meaning {
    let path = subject.pin_path.display();
    let (id, why, remedy) = match fault {
        Fault::Unpinned | Fault::Missing => (
            "not-pinned",
            "what is not pinned ends with the agent, and none can take it over: no agent has used this pin path, or \
             somebody removed the pins",
            "start the agent, which pins what is missing; or name its --pin-path".to_owned(),
        ),
        Fault::ForeignPin => (
            "foreign-map",
            "it is not what this version of Shunt makes, so no agent can take it over",
            format!(
                "look whose it is: bpftool map show pinned {path}/<version>/maps/<name>; remove it and start the agent"
            ),
        ),
        _ => ("pins-unknown", "what cannot be looked at may be wrong", "sudo shunt doctor".to_owned()),
    };
    Meaning { id, why, remedy }
}

/// Everything below a pin path, by version.
fn versions(pin_path: &Path) -> io::Result<Vec<Version>> {
    let mut found = Vec::new();
    for name in names(pin_path)? {
        if name.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok()) {
            let version = pin_path.join(&name);
            let below = |directory: &str| match names(&version.join(directory)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                names => names,
            };
            let links = below("links")?.len();
            let mut instances = Vec::new();
            for directory in names(&version)?.into_iter().filter(|name| name.starts_with("maps")) {
                let maps = below(&directory)?.len();
                instances.push((directory, maps));
            }
            found.push(Version { name, instances, links });
        }
    }
    Ok(found)
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = fs::read_dir(directory)?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

/// Whether the path, or its nearest ancestor that exists, is on a bpffs.
pub fn is_on_bpffs(path: &Path) -> io::Result<bool> {
    let mut nearest = PathBuf::from(path);
    loop {
        match statfs(&nearest) {
            Ok(stats) => return Ok(stats.f_type as u32 == BPF_FS_MAGIC),
            Err(rustix::io::Errno::NOENT) if nearest.pop() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn cleanup(subject: &Subject) -> String {
    format!("shunt cleanup --pin-path {}", subject.pin_path.display())
}
