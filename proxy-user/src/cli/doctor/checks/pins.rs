//! Pins: whether a bpffs is there, what lies in it of which version, and whether the maps can be opened.

use crate::{
    cli::doctor::{
        finding::{Check, State},
        subject::Subject,
    },
    kernel::{KernelError, PROGRAMS, PinnedMaps},
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
pub fn pins(subject: &Subject, maps: &Result<PinnedMaps, KernelError>) -> Check {
    let mut check = Check::new("pins");
    let (path, current) = (subject.pin_path.display(), format!("v{ABI_VERSION}"));
    check.fact("pin_path", path.to_string());
    check.fact("version", current.as_str());
    match is_on_bpffs(&subject.pin_path) {
        Ok(true) => {}
        Ok(false) => {
            check.see(format!("{path} is on no bpffs"));
            check.find(
                (State::Critical, "no-bpffs"),
                format!("no bpffs is mounted where {path} lies"),
                "without a mount there are no pins: maps and programs end with the agent, and none can take over",
                format!("mount -t bpf bpf /sys/fs/bpf   or: shunt mount-bpffs --pin-path {path}\nthen start the agent again"),
            );
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
    let (ours, others): (Vec<_>, Vec<_>) = versions.iter().partition(|version| version.name == current);
    for version in &versions {
        let Version { name, maps, links } = version;
        check.see(format!("{path}/{name}: {} maps, {} links", maps.len(), links.len()));
    }
    if versions.is_empty() {
        check.see(format!("{path}: nothing is pinned"));
    }
    let of =
        |version: &Version| json!({"version": version.name, "maps": version.maps, "links": version.links});
    check.fact("versions", versions.iter().map(of).collect::<Vec<_>>());
    judge_maps(&mut check, subject, maps);
    if let Some(ours) = ours.first() {
        judge_links(&mut check, subject, ours);
    }
    for other in others {
        let serves = if other.links.is_empty() {
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

/// What lies there of one version of the map layout.
#[derive(Debug)]
struct Version {
    name: String,
    maps: Vec<String>,
    links: Vec<String>,
}

fn judge_maps(check: &mut Check, subject: &Subject, maps: &Result<PinnedMaps, KernelError>) {
    let path = subject.pin_path.display();
    let again = "start the agent (`shunt run`, or its DaemonSet), which makes what is missing";
    match maps {
        Ok(_) => {}
        Err(KernelError::NotPinned { pin }) => check.find(
            (State::Critical, "not-pinned"),
            format!("{} is not there", pin.display()),
            format!("the maps are not pinned at {path}: no agent has run with this pin path, or somebody removed the pins"),
            format!("{again}; or name the agent's --pin-path"),
        ),
        Err(error @ KernelError::ForeignMap { pin, .. }) => check.find(
            (State::Critical, "foreign-map"),
            error.to_string(),
            "it is not what this version of Shunt makes, so no agent can take it over",
            format!("look whose it is (bpftool map show pinned {}), remove it, and {again}", pin.display()),
        ),
        Err(error) => check.unseen("maps", "the maps", error),
    }
}

fn judge_links(check: &mut Check, subject: &Subject, ours: &Version) {
    let missing: Vec<_> = PROGRAMS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !ours.links.iter().any(|link| link == name))
        .collect();
    if missing.is_empty() {
        return;
    }
    // Held links go on without a pin as long as their holder runs.
    let severity = if subject.is_held() { State::Degraded } else { State::Critical };
    check.find(
        (severity, "links-not-pinned"),
        format!("links of {} are not pinned below {}", missing.join(", "), subject.pin_path.display()),
        "a link without a pin ends with the process that holds it, and its program with it",
        "start the agent again: it attaches and pins them",
    );
}

/// Everything below a pin path, by version.
fn versions(pin_path: &Path) -> io::Result<Vec<Version>> {
    let mut found = Vec::new();
    for name in names(pin_path)? {
        if name.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok()) {
            let below = |directory| match names(&pin_path.join(&name).join(directory)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                names => names,
            };
            let (maps, links) = (below("maps")?, below("links")?);
            found.push(Version { name, maps, links });
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
fn is_on_bpffs(path: &Path) -> io::Result<bool> {
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
