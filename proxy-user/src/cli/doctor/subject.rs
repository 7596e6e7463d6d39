//! Which node is looked at: what the command line says, and where it is silent, how the agent that runs was started.

use super::args::DoctorArgs;
use crate::{
    cli::{args::Command, config, packet_args::PacketArgs, run_args::RunArgs},
    kernel::{LockState, cgroup2_mount_point, lock_state},
    select::PacketDevices,
};
use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// What is looked at.
#[derive(Debug)]
pub struct Subject {
    pub pin_path: PathBuf,
    /// The cgroup whose sockets are to be served.
    pub cgroup: PathBuf,
    /// Which devices the packet programs are to be on; `None` where nobody says so.
    pub packets: Option<PacketDevices>,
    /// Where the agent answers probes; `None` where it does not, or nobody says so.
    pub healthz: Option<SocketAddr>,
    /// Who holds the pin path.
    pub lock: std::io::Result<LockState>,
    /// The agent's own options, where its command line can be read.
    pub agent: Option<RunArgs>,
}

impl Subject {
    /// Looks who runs, and how.
    pub fn new(args: &DoctorArgs) -> Self {
        let own = &args.run;
        let pin_path = own.pins.pin_path.clone();
        let lock = lock_state(&pin_path);
        let agent = match &lock {
            Ok(LockState::Held(Some(holder))) => options_of(holder.pid),
            _ => None,
        };
        let cgroup = own.cgroup.clone().or_else(|| agent.as_ref()?.cgroup.clone());
        let cgroup = cgroup.or_else(cgroup2_mount_point).unwrap_or_else(|| "/sys/fs/cgroup".into());
        let is_given = own.packets.interfaces.is_some() || !own.packets.devices().pods.is_empty();
        let packets = if is_given { Some(&own.packets) } else { agent.as_ref().map(|agent| &agent.packets) };
        // An address that was given here has been given on purpose; the default is what the agent has too.
        let healthz =
            agent.as_ref().map_or(own.servers.healthz_address.0, |agent| agent.servers.healthz_address.0);
        Self { packets: packets.map(PacketArgs::devices), pin_path, cgroup, healthz, lock, agent }
    }

    /// The process that holds the pin path, if it can be named.
    pub fn agent_pid(&self) -> Option<u32> {
        match &self.lock {
            Ok(LockState::Held(Some(holder))) => Some(holder.pid),
            _ => None,
        }
    }

    /// Whether somebody holds the pin path.
    pub const fn is_held(&self) -> bool {
        matches!(self.lock, Ok(LockState::Held(_)))
    }
}

/// The options that a process was started with, if it is `shunt run`. A path that lies in its container only is
/// taken from there.
pub fn options_of(pid: u32) -> Option<RunArgs> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    // An argument may be empty, as that of `--metrics-address ""`.
    let words = line.strip_suffix(&[0])?.split(|byte| *byte == 0);
    let argv: Vec<_> = words.map(|word| seen_from_here(OsString::from_vec(word.to_vec()), &root)).collect();
    match config::parse(&argv).ok()?.command {
        Command::Run(run) => Some(*run),
        _ => None,
    }
}

fn seen_from_here(word: OsString, root: &Path) -> OsString {
    let path = Path::new(&word);
    let (Ok(below), false) = (path.strip_prefix("/"), path.exists()) else { return word };
    let there = root.join(below);
    if there.exists() { there.into() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_agents_container_is_found_through_its_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("host/cgroup")).unwrap();
        let seen = |word: &str| seen_from_here(word.into(), root.path());
        assert_eq!(seen("/host/cgroup"), root.path().join("host/cgroup"));
        for word in ["/proc", "/no/such/path", "run", "--node"] {
            assert_eq!(seen(word), word);
        }
    }
}
