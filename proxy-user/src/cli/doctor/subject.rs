//! Which node is looked at: what the command line says, and where it is silent, how the agent that runs was started.

use super::{
    agent_process,
    args::DoctorArgs,
    checks::{is_on_bpffs, served},
};
use crate::{
    cli::{
        packet_args::PacketArgs,
        run_args::{RunArgs, host_name},
    },
    kernel::{LockState, cgroup2_mount_point, lock_state},
    select::PacketDevices,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The default of `--pin-path`.
const DEFAULT: &str = "/sys/fs/bpf/shunt";

/// What is looked at.
#[derive(Debug)]
pub struct Subject {
    pub pin_path: PathBuf,
    /// The cgroup whose sockets are to be served.
    pub cgroup: PathBuf,
    /// Somebody says that it is this one: the command line, or the agent's options. If not, it is the one that the
    /// pinned links serve.
    pub cgroup_is_known: bool,
    /// Which devices the packet programs are to be on; `None` where nobody says so.
    pub packets: Option<PacketDevices>,
    /// Where the agent answers probes; `None` where it does not, or nobody says so.
    pub healthz: Option<SocketAddr>,
    /// Who holds the pin path; where its bpffs is gone, the agent that has it in its options.
    pub lock: std::io::Result<LockState>,
    /// The pin path's bpffs is gone.
    pub is_unmounted: bool,
    /// The agent's own options, where they can be read.
    pub agent: Option<RunArgs>,
    /// Why they cannot be read.
    pub unread: Option<String>,
    /// `--cgroup` as it was given, with a blank before it.
    given: String,
}

impl Subject {
    /// Looks who runs, and how.
    pub fn new(args: &DoctorArgs) -> Self {
        let own = &args.run;
        let pin_path = own.pins.pin_path.clone();
        let is_unmounted = is_on_bpffs(&pin_path).is_ok_and(|is| !is);
        let mut lock = lock_state(&pin_path);
        if is_unmounted && let Some(holder) = agent_process::with_pin_path(&pin_path) {
            lock = Ok(LockState::Held(Some(holder)));
        }
        let read = match &lock {
            Ok(LockState::Held(Some(holder))) => Some(agent_process::options_of(holder.pid)),
            _ => None,
        };
        let (agent, unread) = match read {
            Some(Ok(agent)) => (Some(agent), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        // An agent without --cgroup serves the root of the mount.
        let of_agent = agent.as_ref().and_then(|agent| agent.cgroup.clone().or_else(cgroup2_mount_point));
        let known = own.cgroup.clone().or(of_agent);
        let cgroup_is_known = known.is_some();
        let cgroup = known.or_else(|| served(&pin_path)).or_else(cgroup2_mount_point);
        let is_given = own.packets.interfaces.is_some() || !own.packets.devices().pods.is_empty();
        let packets = if is_given { Some(&own.packets) } else { agent.as_ref().map(|agent| &agent.packets) };
        // Where its options cannot be read, the default says nothing about this agent.
        let healthz = match (&agent, &unread) {
            (Some(agent), _) => agent.servers.healthz_address.0,
            (None, Some(_)) => None,
            (None, None) => own.servers.healthz_address.0,
        };
        Self {
            packets: packets.map(PacketArgs::devices),
            cgroup: cgroup.unwrap_or_else(|| "/sys/fs/cgroup".into()),
            given: own
                .cgroup
                .as_ref()
                .map(|given| format!(" --cgroup {}", given.display()))
                .unwrap_or_default(),
            pin_path,
            cgroup_is_known,
            healthz,
            lock,
            is_unmounted,
            agent,
            unread,
        }
    }

    /// `--pin-path`, with a blank before it, where it is not the default.
    pub fn pin_path_option(&self) -> String {
        if self.pin_path == Path::new(DEFAULT) {
            return String::new();
        }
        format!(" --pin-path {}", self.pin_path.display())
    }

    /// `shunt` with one of its commands and the options that say which node it is about, as they were given.
    pub fn command(&self, command: &str) -> String {
        format!("shunt {command}{}{}", self.pin_path_option(), self.given)
    }

    /// What ends and begins the agent of this node alone.
    pub fn restart(&self) -> String {
        let node = self.agent.as_ref().and_then(|agent| agent.node.as_deref());
        let name = node.map(str::to_owned).or_else(host_name).unwrap_or_else(|| "NODE".to_owned());
        format!(
            "kubectl -n kube-system get pods -o wide --field-selector spec.nodeName={name}\n\
             kubectl -n kube-system logs --previous POD   says why it ended\n\
             kubectl -n kube-system delete pod POD   has it started again, on this node alone"
        )
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
