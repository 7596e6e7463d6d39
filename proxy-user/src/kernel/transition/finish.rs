//! What comes after the commit: programs over the new maps take the places of those that run. Whoever finds it unfinished
//! does it again from its beginning.

use super::before;
use super::carry::{Authority, Memory, REMEMBERED};
use super::copy::Turn;
use super::instance::{self, Instances};
use super::other::{self, other};
use super::since;
use super::step::{After, Step};
use super::turn::{Refusal, Turner};
use crate::kernel::attach::{Attached, DETACH_ORDER, attach};
use crate::kernel::bpffs::{self, PinDirs};
use crate::kernel::error::KernelError;
use crate::kernel::grace::Grace;
use crate::kernel::loader::{Load, load, put_stages};
use crate::kernel::object::{self, MapName, TRANSITION};
use crate::kernel::pinned::{array, open_pin};
use crate::kernel::programs::Programs;
use crate::kernel::sys::{Access, MapFd};
use crate::kernel::wire::MappedArray;
use crate::writer::Capacities;
use aya::Ebpf;
use proxy_common::abi::{Phase, TransitionEntry};
use rustix::time::{ClockId, clock_gettime};
use std::fs;

/// A pass that brings no more than these is the last one before what begins, begins in the new maps.
const FEW: usize = 64;
/// Passes at most before that. Each takes milliseconds; what keeps coming is found in the former maps.
const PASSES: usize = 5;

/// Removes what was not committed.
///
/// # Errors
/// [`KernelError::Path`].
pub fn discard_unfinished(dirs: &PinDirs) -> Result<(), KernelError> {
    Instances::of(&dirs.version)?.unfinished.iter().try_for_each(|directory| instance::remove(directory))
}

/// The instance before the one in use, or that of another version, if it is still there: then the transition is not
/// finished.
///
/// # Errors
/// [`KernelError::Path`].
pub fn former(dirs: &PinDirs) -> Result<Option<PinDirs>, KernelError> {
    let whole = Instances::of(&dirs.version)?.whole;
    match whole.iter().rfind(|number| **number < dirs.number) {
        Some(number) => Ok(Some(PinDirs::instance(dirs.version.clone(), *number))),
        None if whole.is_empty() || other::is_unfilled(dirs) => Ok(None),
        None => other(dirs),
    }
}

/// Finishes a transition that is committed; `None` if there is none. `bridge` are bridging programs, if they are loaded
/// already.
///
/// # Errors
/// Of the step that failed; the call may be repeated.
pub fn finish(
    programs: &mut Programs,
    bridge: Option<Ebpf>,
    after: After<'_>,
) -> Result<Option<Attached>, KernelError> {
    programs.lock.check(&programs.pin_path)?;
    let Some(former) = former(&programs.dirs)? else { return Ok(None) };
    if programs.waits {
        // Those that run are another version's; ours are attached later, and must be those over the maps that stay.
        programs.packets.take(&programs.ebpf)?;
        put_stages(&programs.ebpf, &programs.dirs)?;
        retire(&programs.dirs, &former)?;
        return Ok(Some(Attached::default()));
    }
    if former.version != programs.dirs.version {
        other::adopt_links(&former, &programs.dirs)?;
    }
    let grace = Grace::new().map_err(|source| call(TRANSITION, "BPF_MAP_CREATE", source))?;
    let memories = Memories::open(&former, &programs.dirs)?;
    if !memories.0.is_empty() {
        cross(programs, bridge, &former, &memories, &grace, after)?;
    }
    let Programs { ebpf, packets, dirs, cgroup, .. } = programs;
    put_stages(ebpf, dirs)?;
    let attached = attach(ebpf, &dirs.links, cgroup)?;
    packets.replace(ebpf)?;
    if former.version != dirs.version {
        packets.adopt(&former.links)?;
    }
    wait(&grace)?;
    after(Step::Swapped)?;
    // What began with the former programs since the last pass.
    memories.pass(Authority::Ours, recently())?;
    before::clear(dirs)?;
    since::remove(dirs)?;
    after(Step::Cleared)?;
    let mut next = Some(former);
    while let Some(former) = next {
        retire(dirs, &former)?;
        next = self::former(dirs)?;
    }
    after(Step::Removed)?;
    Ok(Some(attached))
}

/// Removes the maps that are no more in use.
fn retire(dirs: &PinDirs, former: &PinDirs) -> Result<(), KernelError> {
    if former.version != dirs.version {
        return bpffs::clear_version(&former.version, &DETACH_ORDER);
    }
    // Readers that look for the newest never find one that is half removed.
    let unwanted = former.clone().unfinished().maps;
    instance::remove(&unwanted)?;
    fs::rename(&former.maps, &unwanted)
        .map_err(|source| KernelError::path(&former.maps, "rename", source))?;
    instance::remove(&unwanted)
}

/// Lets bridging programs run while what programs write is carried over.
fn cross(
    programs: &mut Programs,
    bridge: Option<Ebpf>,
    former: &PinDirs,
    memories: &Memories,
    grace: &Grace,
    after: After<'_>,
) -> Result<(), KernelError> {
    let Programs { packets, dirs, cgroup, features, log_level, .. } = programs;
    let mut bridge = match bridge {
        Some(bridge) => bridge,
        None => load(&Load {
            dirs,
            // All maps are there.
            capacities: &Capacities::default(),
            features: *features,
            log_level: *log_level,
            former: Some(former),
        })?,
    };
    let shapes = object::shapes()?;
    let mut phase: MappedArray<TransitionEntry> = array(dirs, &shapes, TRANSITION, Access::ReadWrite)?;
    put_stages(&bridge, dirs)?;
    attach(&mut bridge, &dirs.links, cgroup)?;
    packets.replace(&bridge)?;
    if former.version != dirs.version {
        packets.adopt(&former.links)?;
    }
    wait(grace)?;
    after(Step::Bridged)?;
    let mut since = since::read(dirs)?;
    if phase.get(0).unwrap_or_default().phase != Phase::Begin as u32 {
        since = 0;
        for _ in 0..PASSES {
            let start = recently();
            let came = memories.pass(Authority::Former, since)?;
            since = start;
            if came <= FEW {
                break;
            }
        }
        after(Step::Carried)?;
        since::write(dirs, since)?;
        let stored = phase.put(0, &TransitionEntry::new(Phase::Begin));
        debug_assert!(stored, "TRANSITION has one entry");
        wait(grace)?;
        after(Step::Begun)?;
    }
    memories.pass(Authority::Ours, since)?;
    after(Step::CarriedAgain)
}

/// The maps that are carried over: those that programs write, and that are others now; with how their entries are said
/// there, if otherwise.
struct Memories(Vec<(MapName, MapFd, MapFd, Option<Turner>)>);

impl Memories {
    fn open(former: &PinDirs, dirs: &PinDirs) -> Result<Self, KernelError> {
        let shapes = object::shapes()?;
        let mut found = Vec::new();
        for name in REMEMBERED {
            let to = open_pin(dirs, &shapes, name, Access::ReadWrite)?;
            let Some(from) = other::open(former, name)? else { continue };
            if from.id() == to.id() {
                continue;
            }
            let turner = match former.version == dirs.version {
                true => None,
                false => match Turner::new(name, &from, &to) {
                    Ok(turner) => Some(turner),
                    Err(Refusal::Kernel(error)) => return Err(error),
                    Err(refusal) => {
                        tracing::warn!(reason = %refusal, "another version's entries cannot be taken over");
                        continue;
                    }
                },
            };
            found.push((name, from, to, turner));
        }
        Ok(Self(found))
    }

    fn pass(&self, authority: Authority, since: u32) -> Result<usize, KernelError> {
        let mut came = 0;
        for (name, from, to, turner) in &self.0 {
            let turn = turner.as_ref().map(|turner| |key: &[u8], value: &[u8]| turner.turn(key, value));
            let turn = turn.as_ref().map(|turn| turn as Turn<'_>);
            let memory = Memory { name, from, to, turn };
            came += memory.pass(authority, since).map_err(|source| call(name, "carrying over", source))?;
        }
        Ok(came)
    }
}

/// Seconds of CLOCK_MONOTONIC as programs note them, or two less: they may be one behind.
fn recently() -> u32 {
    (clock_gettime(ClockId::Monotonic).tv_sec as u32).saturating_sub(2)
}

fn wait(grace: &Grace) -> Result<(), KernelError> {
    grace.wait().map_err(|source| call(TRANSITION, "BPF_MAP_UPDATE_ELEM", source))
}

fn call(object: MapName, call: &'static str, source: std::io::Error) -> KernelError {
    KernelError::Call { object, call, source }
}
