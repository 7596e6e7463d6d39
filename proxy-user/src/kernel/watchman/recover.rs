//! Before a starting agent adopts what is pinned: pins that are missing or wrong are put right from the programs that are
//! still attached. What those use is the truth, since it is what serves; pins are only names for it.

use super::aside::move_aside;
use super::finding::{Fault, Finding, Hook};
use crate::kernel::attach::PROGRAMS;
use crate::kernel::bpffs::PinDirs;
use crate::kernel::error::KernelError;
use crate::kernel::object::{self, MAPS, MapName, STAGE_PROGRAMS, STAGES};
use crate::kernel::packets::{self, PacketHook};
use crate::kernel::pinned::open_pin;
use crate::kernel::shape::MapShape;
use crate::kernel::sys::{Access, LinkFd, MapFd, ObjectKind, ProgramInfo, open_any};
use crate::kernel::transition;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// Puts the pins right, and says what it did. A pin that is not ours is moved aside, see [`move_aside`]; a map that no
/// program serves by is left to be made anew.
///
/// # Errors
/// Of what keeps the maps from being used at all: privileges, or a pin that cannot be moved.
pub fn recover(pin_path: &Path, dirs: &PinDirs) -> Result<Vec<Finding>, KernelError> {
    let mut found = foreign_links(pin_path, dirs)?;
    let shapes = object::shapes()?;
    // While one instance of the maps replaces another, programs of the former serve, and rightly so. While another version
    // serves, its links may be ours already and its programs run by them still.
    let is_alone = transition::former(dirs)?.is_none() && !transition::is_unfilled(dirs);
    let serving = if is_alone { serving(dirs) } else { BTreeMap::new() };
    for name in MAPS {
        let pin = dirs.maps.join(name);
        let served = serving.get(name).and_then(Option::as_ref);
        let text = match open_pin(dirs, &shapes, name, Access::ReadWrite) {
            Ok(map) => match served.filter(|(id, _)| *id != map.id()) {
                Some(_) => "another map was pinned in the place of the one that programs serve by".to_owned(),
                None => continue,
            },
            // A symbolic link may lead nowhere.
            Err(error @ KernelError::NotPinned { .. }) if pin.symlink_metadata().is_ok() => error.to_string(),
            Err(KernelError::NotPinned { .. }) if served.is_none() => continue,
            Err(KernelError::NotPinned { .. }) => "its pin was gone".to_owned(),
            // EACCES is said of a directory too.
            Err(error @ (KernelError::Privileges { .. } | KernelError::Object { .. })) if is_pin(&pin) => {
                return Err(error);
            }
            // What serves is of another kind than this version's: no stranger, and the loader says what it is.
            Err(_) if served.is_some_and(|(id, _)| pinned_id(&pin) == Some(*id)) => continue,
            Err(error) => error.to_string(),
        };
        let moved = if pin.symlink_metadata().is_ok() { move_aside(pin_path, &pin)? } else { None };
        let fault = if moved.is_some() { Fault::ForeignPin } else { Fault::Unpinned };
        let moved = moved.map(|to| format!("; that lies at {} now", to.display())).unwrap_or_default();
        let fits = |map: &MapFd| wanted(&shapes, name).is_some_and(|wanted| map.shape().fits(wanted));
        let instead = match served.filter(|(_, map)| fits(map)) {
            Some((id, map)) => {
                map.pin(&pin).map_err(|source| KernelError::path(&pin, "BPF_OBJ_PIN", source))?;
                format!("map {id}, which programs serve by, is pinned again")
            }
            None => {
                "no program serves by another one, so it is made anew, and filled by the first complete lists"
                    .to_owned()
            }
        };
        found.push(Finding::new(Hook::new(name), fault, format!("{text}{moved}; {instead}")));
    }
    Ok(found)
}

fn wanted(shapes: &[(MapName, MapShape)], name: MapName) -> Option<&MapShape> {
    shapes.iter().find_map(|(of, shape)| (*of == name).then_some(shape))
}

/// The maps by which attached programs of this pin path serve, by name; `None` where they are not of one mind.
fn serving(dirs: &PinDirs) -> BTreeMap<String, Option<(u32, MapFd)>> {
    let mut maps = BTreeMap::new();
    let mut ids = maps_of(programs(dirs));
    let mut known = BTreeSet::new();
    while let Some(id) = ids.pop_first() {
        let Ok(Some(map)) = MapFd::by_id(id) else { continue };
        let Ok(name) = map.name() else { continue };
        known.insert(id);
        if name == STAGES {
            // The programs in it serve as the one does that goes on in them. The kernel empties it when no process has it
            // open and no pin of it is left, so there may be none.
            ids.extend(maps_of(stages(&map)).difference(&known));
        }
        maps.entry(name).and_modify(|known| *known = None).or_insert(Some((id, map)));
    }
    maps
}

/// Ids of the maps that programs use.
fn maps_of(programs: BTreeSet<u32>) -> BTreeSet<u32> {
    let infos = programs.into_iter().filter_map(|program| ProgramInfo::by_id(program).ok()?);
    infos.flat_map(|info| info.maps).collect()
}

/// Ids of the programs that stand in STAGES: what a process reads there.
fn stages(map: &MapFd) -> BTreeSet<u32> {
    let indices = (0..STAGE_PROGRAMS.len() as u32).map(u32::to_ne_bytes);
    let ids = indices.filter_map(|index| map.lookup(&index).ok()?.try_into().map(u32::from_ne_bytes).ok());
    ids.collect()
}

/// Ids of the programs that run by links which are pinned here, and by filters that are named after them.
fn programs(dirs: &PinDirs) -> BTreeSet<u32> {
    let mut ids = BTreeSet::new();
    for (name, attach_type) in PROGRAMS {
        let info = link(&dirs.links.join(name)).and_then(|link| link.info().ok()?);
        let attached = info.filter(|info| info.attach_type == attach_type as u32 && info.cgroup_id != 0);
        ids.extend(attached.map(|info| info.program_id));
    }
    for (path, hook, device) in device_pins(dirs) {
        let info = link(&path).and_then(|link| link.tcx_info().ok()?);
        let attached = info.filter(|info| info.attach_type == hook.tcx() as u32 && info.device == device);
        ids.extend(attached.map(|info| info.program_id));
    }
    ids.extend(packets::filtering(&dirs.links).unwrap_or_default());
    ids
}

/// Pins of links to devices.
fn device_pins(dirs: &PinDirs) -> Vec<(std::path::PathBuf, PacketHook, u32)> {
    let Ok(entries) = fs::read_dir(&dirs.links) else { return Vec::new() };
    let pins = entries.flatten().filter_map(|entry| {
        let (hook, device) = PacketHook::parse(entry.file_name().to_str()?)?;
        Some((entry.path(), hook, device))
    });
    pins.collect()
}

/// Whether it looks like a pin from outside, or is not there: the kernel shows pins as regular files.
fn is_pin(path: &Path) -> bool {
    path.symlink_metadata().map_or(true, |metadata| metadata.is_file())
}

/// Id of the map that is pinned somewhere.
fn pinned_id(pin: &Path) -> Option<u32> {
    match open_any(pin) {
        Ok((ObjectKind::Map, fd)) => MapFd::from_fd(fd).ok().map(|map| map.id()),
        _ => None,
    }
}

/// Opens a link, if there is one.
fn link(pin: &Path) -> Option<LinkFd> {
    match open_any(pin) {
        Ok((ObjectKind::Link, fd)) => Some(LinkFd::from(fd)),
        _ => None,
    }
}

/// Moves aside what lies where links are pinned and is none, or one to something else.
fn foreign_links(pin_path: &Path, dirs: &PinDirs) -> Result<Vec<Finding>, KernelError> {
    let mut found = Vec::new();
    let mut check = |hook: Hook, pin: &Path, fits: &dyn Fn(&LinkFd) -> io::Result<bool>| {
        let is_foreign = match open_any(pin) {
            Ok((ObjectKind::Link, fd)) => !fits(&LinkFd::from(fd)).unwrap_or(true),
            Ok(_) => true,
            // BPF_OBJ_GET says EACCES of what is no pin, and of one that this process may not open: lstat(2) knows.
            Err(_) => pin.symlink_metadata().is_ok() && !is_pin(pin),
        };
        if is_foreign && let Some(to) = move_aside(pin_path, pin)? {
            let text = format!("what was pinned in the place of its link lies at {} now", to.display());
            found.push(Finding::new(hook, Fault::ForeignPin, text));
        }
        Ok::<_, KernelError>(())
    };
    for (name, attach_type) in PROGRAMS {
        let fits =
            |link: &LinkFd| Ok(link.info()?.is_some_and(|info| info.attach_type == attach_type as u32));
        check(Hook::new(name), &dirs.links.join(name), &fits)?;
    }
    for (pin, hook, device) in device_pins(dirs) {
        let fits =
            |link: &LinkFd| Ok(link.tcx_info()?.is_some_and(|info| info.attach_type == hook.tcx() as u32));
        check(Hook::on(hook.program(), device), &pin, &fits)?;
    }
    Ok(found)
}
