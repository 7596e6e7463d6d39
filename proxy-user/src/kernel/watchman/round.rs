//! The agent's round: a few system calls that compare what should be attached and pinned with what is, and bring back what
//! is missing.

use super::devices;
use super::finding::{Fault, Finding, Hook, Severity};
use super::held::Held;
use super::look::narrow;
use super::names::Names;
use super::sockets;
use crate::kernel::attach::PROGRAMS;
use crate::kernel::bpffs::{self, PinDirs};
use crate::kernel::cgroup::Cgroup;
use crate::kernel::error::KernelError;
use crate::kernel::object::{MAPS, STAGE_PROGRAMS, STAGES};
use crate::kernel::packets::PacketHook;
use crate::kernel::programs::Programs;
use crate::kernel::sys::{LinkFd, MapFd, Xdp, xdp_programs};
use crate::kernel::transition;
use proxy_common::abi::DeviceEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::os::fd::AsFd as _;

/// Devices that are looked at in one round; where there are more, the next round goes on behind them.
pub const DEVICES_PER_ROUND: usize = 64;

/// XDP programs are asked for, by a list of all devices, in every so many rounds.
const XDP_ROUNDS: u32 = 30;

/// What a round came to.
#[derive(Debug, Default)]
pub struct Round {
    /// What was missing, and is there again.
    pub restored: Vec<Finding>,
    /// What is not as it should be and stays so for now: it could not be restored, or it is somebody else's.
    pub found: Vec<Finding>,
    /// Devices that this round did not come to: what was found of them before is so until another round says otherwise.
    pub passed_over: BTreeSet<u32>,
    /// Another process has taken the pin path since the bpffs was unmounted: [`KernelError::Locked`]. Whoever goes on
    /// writing to the maps now is the second one.
    pub lost: Option<KernelError>,
}

/// What is known between rounds.
#[derive(Debug, Default)]
pub(in crate::kernel) struct Watchman {
    names: Names,
    /// Where the maps are pinned that are held. Another instance has other programs too.
    dirs: Option<PinDirs>,
    maps: Vec<Held>,
    links: Vec<Held>,
    /// Ids of the loaded programs, by name.
    own: BTreeMap<&'static str, u32>,
    /// The last device that was looked at.
    last: u32,
    rounds: u32,
    xdp: Vec<Xdp>,
}

impl Programs {
    /// Looks at everything that this process keeps attached or pinned, restores what is missing, and says what else is in the
    /// way. `devices` are those that the packet programs should be on. Call it every few seconds, and whenever something may
    /// have changed: where all is well it costs 26 calls of bpf(2), three more for each device, and a stat(2) for each pin.
    ///
    /// What it restores is attached by the links that are held, where they still are: neither connections nor packets are lost.
    pub fn watch(&mut self, devices: &BTreeMap<u32, DeviceEntry>) -> Round {
        let mut round = Round { passed_over: devices.keys().copied().collect(), ..Round::default() };
        let mut watchman = mem::take(&mut self.watchman);
        watchman.hold(self);
        watchman.pins(self, &mut round);
        // A transition attaches to it too.
        let has_cgroup = reopen_cgroup(self, &mut round);
        // Another version's programs are not ours to watch.
        if round.lost.is_none() && !self.waits && watchman.transition(self, &mut round) {
            if has_cgroup {
                watchman.sockets(self, &mut round);
            }
            watchman.stages(self, &mut round);
            watchman.devices(self, devices, &mut round);
        }
        self.watchman = watchman;
        round
    }

    /// From here on what is pinned lives as long as this process, whatever becomes of the pins.
    pub(in crate::kernel) fn hold(&mut self) {
        let mut watchman = mem::take(&mut self.watchman);
        // Those that were just made take the places of former ones.
        watchman.hold_links(&self.dirs);
        watchman.hold(self);
        self.watchman = watchman;
    }
}

impl Watchman {
    /// Opens what is pinned, and asks for the ids of the programs, unless it is done.
    fn hold(&mut self, programs: &Programs) {
        let dirs = &programs.dirs;
        if self.dirs.as_ref() != Some(dirs) {
            (self.dirs, self.maps, self.own) = (Some(dirs.clone()), Vec::new(), BTreeMap::new());
        }
        if self.own.is_empty() {
            let names = PROGRAMS.map(|(name, _)| name).into_iter().chain(STAGE_PROGRAMS);
            let names = names.chain(PacketHook::BOTH.map(PacketHook::program));
            for name in names {
                let id = programs.ebpf.program(name).and_then(|program| program.info().ok());
                self.own.extend(id.map(|info| (name, info.id())));
            }
        }
        if self.maps.is_empty() {
            self.maps =
                MAPS.into_iter().filter_map(|name| Held::map(name, dirs.maps.join(name)).ok()).collect();
        }
        if self.links.is_empty() {
            self.hold_links(dirs);
        }
    }

    fn hold_links(&mut self, dirs: &PinDirs) {
        for (name, _) in PROGRAMS {
            // One whose pin cannot be opened stays as it is held: letting go of it would detach it.
            let Ok(link) = Held::link(Hook::new(name), dirs.links.join(name)) else { continue };
            self.links.retain(|held| held.hook() != link.hook());
            self.links.push(link);
        }
    }

    /// The lock, the directories and every pin.
    fn pins(&mut self, programs: &mut Programs, round: &mut Round) {
        let pin_path = &programs.pin_path;
        if !programs.lock.holds(pin_path) {
            let taken = bpffs::ensure(pin_path).and_then(|_| programs.lock.retake(pin_path));
            match taken {
                Ok(()) => {
                    let text = format!("{} was gone or on another file system", pin_path.display());
                    round.restored.push(Finding::new(Hook::new("pins"), Fault::Unmounted, text));
                }
                Err(error @ KernelError::Locked { .. }) => {
                    round.lost = Some(error);
                    return;
                }
                Err(error) => {
                    let text = format!("{error}; what is attached works on as long as this agent lives");
                    round.found.push(Finding::new(Hook::new("pins"), Fault::Unmounted, text));
                    return;
                }
            }
        }
        if let Err(error) = programs.dirs.create() {
            round.found.push(Finding::new(Hook::new("pins"), Fault::Unpinned, error.to_string()));
            return;
        }
        let held = self.maps.iter_mut().chain(&mut self.links).chain(programs.packets.held_mut());
        for held in held {
            match held.restore(pin_path) {
                Ok(restored) => round.restored.extend(restored),
                Err(error) => {
                    round.found.push(Finding::new(held.hook(), Fault::Unpinned, error.to_string()));
                }
            }
        }
    }

    /// A transition that ended at some step goes on: programs that stand in for these are no fault until it is through.
    /// False if it still is not.
    fn transition(&mut self, programs: &mut Programs, round: &mut Round) -> bool {
        let finished = match transition::former(&programs.dirs) {
            Ok(None) => return true,
            Ok(Some(_)) => programs.attach().map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = finished {
            let text = format!("the transition to other maps is not finished: {error}");
            round.found.push(Finding::new(Hook::new("pins"), Fault::Unknown, text));
            return false;
        }
        self.hold(programs);
        true
    }

    /// The programs on the cgroup.
    fn sockets(&mut self, programs: &mut Programs, round: &mut Round) {
        round.found.extend(narrow(&programs.cgroup));
        let before = self.look_at_sockets(programs);
        let can_be_restored = |finding: &Finding| {
            matches!(finding.fault, Fault::Missing | Fault::Detached | Fault::Replaced | Fault::Elsewhere)
        };
        if !before.iter().any(can_be_restored) {
            round.found.extend(before);
            return;
        }
        let attached = programs.attach();
        self.hold_links(&programs.dirs);
        let after = self.look_at_sockets(programs);
        let is_left =
            |finding: &Finding| after.iter().any(|left| left.hook == finding.hook && can_be_restored(left));
        round
            .restored
            .extend(before.into_iter().filter(|finding| can_be_restored(finding) && !is_left(finding)));
        round.found.extend(after);
        if let Err(error) = attached {
            round.found.push(Finding {
                severity: Severity::Broken,
                ..Finding::new(Hook::new("cgroup"), Fault::Missing, error.to_string())
            });
        }
    }

    fn look_at_sockets(&mut self, programs: &Programs) -> Vec<Finding> {
        let Self { names, links, own, .. } = self;
        let link = |name: &str| {
            let held = links.iter().find(|held| held.hook().name == name).and_then(Held::as_link);
            held.map_or(Ok(None), LinkFd::info)
        };
        sockets::look(&programs.cgroup, names, link, |name| own.get(name).copied())
    }

    /// The programs that the packet programs go on in.
    fn stages(&mut self, programs: &Programs, round: &mut Round) {
        let Some(stages) = self.maps.iter().find(|map| map.hook().name == STAGES).and_then(Held::as_map)
        else {
            return;
        };
        for (index, name) in (0_u32..).zip(STAGE_PROGRAMS) {
            // Looked up by a process, an entry is its program's id.
            let runs = match stages.lookup(&index.to_ne_bytes()) {
                Ok(id) => id.try_into().map(u32::from_ne_bytes).ok(),
                Err(_) => None,
            };
            if runs.is_some() && runs == self.own.get(name).copied() {
                continue;
            }
            let fault = if runs.is_some() { Fault::Replaced } else { Fault::Missing };
            let hook = Hook::new(name);
            match put_stage(programs, stages, index, name) {
                Ok(()) => round.restored.push(Finding::new(
                    hook,
                    fault,
                    "it was not where packets are passed on to",
                )),
                Err(error) => round.found.push(Finding::new(hook, fault, error.to_string())),
            }
        }
    }

    /// The packet programs.
    fn devices(&mut self, programs: &mut Programs, devices: &BTreeMap<u32, DeviceEntry>, round: &mut Round) {
        let own = PacketHook::BOTH.map(|hook| self.own.get(hook.program()).copied().unwrap_or_default());
        if !devices.is_empty() && self.rounds.is_multiple_of(XDP_ROUNDS) {
            self.xdp = xdp_programs().unwrap_or_default();
        }
        self.rounds = self.rounds.wrapping_add(1);
        let behind = devices.range(self.last.saturating_add(1)..).chain(devices.range(..=self.last));
        let mut tc = None;
        for (device, entry) in behind.take(DEVICES_PER_ROUND) {
            self.last = *device;
            round.passed_over.remove(device);
            let before = devices::check(&programs.packets, *device, own, &mut tc, &mut self.names);
            let (broken, mut found): (Vec<_>, Vec<_>) = before.into_iter().partition(|finding| {
                matches!(finding.fault, Fault::Missing | Fault::Detached | Fault::Replaced)
            });
            if !broken.is_empty() {
                match programs.packets.attach(*device, entry) {
                    Ok(()) => {
                        found = devices::check(&programs.packets, *device, own, &mut tc, &mut self.names);
                        round.restored.extend(broken);
                    }
                    // The list of devices says so too, a moment later.
                    Err(error) if error.is_gone() => {}
                    Err(error) => {
                        let text = error.to_string();
                        found = broken
                            .into_iter()
                            .map(|finding| Finding { text: text.clone(), ..finding })
                            .collect();
                    }
                }
            }
            round.found.extend(found);
            round.found.extend(devices::xdp(*device, &self.xdp, &mut self.names));
        }
    }
}

/// Opens the cgroup that lies at its path by now, if the one that was opened was removed. False if there is none.
fn reopen_cgroup(programs: &mut Programs, round: &mut Round) -> bool {
    if programs.cgroup.exists() {
        return true;
    }
    match Cgroup::open(programs.cgroup.path()) {
        Ok(cgroup) => programs.cgroup = cgroup,
        Err(error) => {
            let text = format!("it was removed: {error}");
            round.found.push(Finding::new(Hook::new("cgroup"), Fault::Missing, text));
            return false;
        }
    }
    true
}

fn put_stage(programs: &Programs, stages: &MapFd, index: u32, name: &'static str) -> Result<(), KernelError> {
    use aya::programs::Program;
    use std::os::fd::AsRawFd as _;
    let Some(Program::SchedClassifier(program)) = programs.ebpf.program(name) else {
        return Err(KernelError::Object { object: name });
    };
    let fd = program.fd().map_err(|source| KernelError::program(name, "BPF_MAP_UPDATE_ELEM", source))?;
    stages
        .update(&index.to_ne_bytes(), &fd.as_fd().as_raw_fd().to_ne_bytes())
        .map_err(|source| KernelError::Call { object: STAGES, call: "BPF_MAP_UPDATE_ELEM", source })
}
