//! What the kernel and the pins have.

use crate::{
    cluster,
    stage::{STAY, Stage},
    wait_until,
};
use aya_obj::generated::bpf_attach_type::{BPF_TCX_EGRESS, BPF_TCX_INGRESS};
use serde_json::Value;
use shunt::kernel::{
    PROGRAMS,
    sys::{devices, effective_programs, tcx_programs},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    path::PathBuf,
};

impl Stage {
    /// Waits until the maps have the pods that stay and these ones.
    #[track_caller]
    pub fn wait_until_programmed(&self, more: &[usize]) {
        let ips = |pod| self.endpoint(pod).ips;
        let wanted: BTreeSet<IpAddr> = (0..STAY).chain(more.iter().copied()).flat_map(ips).collect();
        wait_until("the maps follow", || self.programmed().is_some_and(|found| found == wanted));
    }

    /// The endpoints of the two Services that the maps have.
    fn programmed(&self) -> Option<BTreeSet<IpAddr>> {
        let mut command = self.shunt();
        command.args(["dump", "-o", "json", "--pin-path"]).arg(self.pins());
        let said: Value = serde_json::from_slice(&command.output().unwrap().stdout).ok()?;
        let mut found = BTreeSet::new();
        for port in
            said["services"].as_array()?.iter().filter(|port| port["name"].as_str().is_some_and(cluster::has))
        {
            let endpoints = port["cluster"].as_array()?.iter();
            found.extend(endpoints.map(|at| at.as_str().unwrap().parse::<SocketAddr>().unwrap().ip()));
        }
        Some(found)
    }

    /// The versions of the layout that are pinned.
    pub fn versions(&self) -> Vec<String> {
        let entries = fs::read_dir(self.pins()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Every pin.
    pub fn pinned(&self) -> BTreeSet<PathBuf> {
        let (mut found, mut directories) = (BTreeSet::new(), vec![self.pins()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    directories.push(entry.path());
                } else {
                    found.insert(entry.path());
                }
            }
        }
        found
    }

    /// Ids of the programs that the kernel runs, by hook: those of the cgroup and those of each device.
    pub fn running(&self) -> BTreeMap<String, Vec<u32>> {
        let cgroup = File::open(self.site.cgroup.path()).unwrap();
        let sockets = PROGRAMS
            .map(|(name, at)| (name.to_owned(), effective_programs(cgroup.as_fd(), at).unwrap_or_default()));
        let packets = || {
            let mut found = Vec::new();
            for device in devices().unwrap() {
                for (hook, at) in [("ingress", BPF_TCX_INGRESS), ("egress", BPF_TCX_EGRESS)] {
                    let programs = tcx_programs(device.index, at).unwrap_or_default();
                    let ids = programs.iter().map(|program| program.program_id).collect();
                    found.push((format!("{hook} of {}", device.name), ids));
                }
            }
            found
        };
        sockets.into_iter().chain(self.node().run(packets).unwrap()).collect()
    }

    /// How many programs the kernel runs, by hook.
    pub fn attached(&self) -> BTreeMap<String, usize> {
        self.running().into_iter().map(|(hook, programs)| (hook, programs.len())).collect()
    }
}
