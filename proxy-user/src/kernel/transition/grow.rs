//! Larger maps of the same layout.

use super::step::{After, Step};
use super::{before, copy, finish, instance};
use crate::kernel::bpffs::PinDirs;
use crate::kernel::error::KernelError;
use crate::kernel::loader::{Load, load};
use crate::kernel::maps::KernelMaps;
use crate::kernel::object::{self, BEFORE, BEFORE_PACKETS, MAPS, MapName, SCRATCH, STAGES, TRANSITION};
use crate::kernel::pinned::{PinnedMaps, open_pin};
use crate::kernel::programs::Programs;
use crate::kernel::sys::Access;
use crate::writer::{Capacities, MapReader};
use aya::Ebpf;
use std::fs;

/// What has been made beside the maps in use.
struct Made {
    /// Bridging programs, if they are needed.
    bridge: Option<Ebpf>,
    /// The programs that are to stay.
    own: Ebpf,
    maps: PinnedMaps,
}

/// Makes the maps as large as is wanted. See [`Programs::grow`].
pub fn grow(
    programs: &mut Programs,
    maps: &mut KernelMaps,
    wanted: &Capacities,
    after: After<'_>,
) -> Result<(), KernelError> {
    programs.lock.check(&programs.pin_path)?;
    finish(programs, None, after)?;
    let wanted = larger(wanted, &maps.capacities());
    if wanted == maps.capacities() {
        return Ok(());
    }
    let next = PinDirs::instance(programs.dirs.version.clone(), programs.dirs.number.saturating_add(1));
    let unfinished = next.clone().unfinished();
    let made = make(programs, &wanted, &unfinished, after).and_then(|made| {
        fs::rename(&unfinished.maps, &next.maps)
            .map_err(|source| KernelError::path(&unfinished.maps, "rename", source))?;
        Ok(made)
    });
    let Made { bridge, own, maps: grown } = match made {
        Ok(made) => made,
        Err(error) => {
            instance::remove(&unfinished.maps)?;
            return Err(error);
        }
    };
    maps.replace(grown.renamed(next.clone()));
    programs.dirs = next;
    // Those that run go with the maps that they have, once nobody runs or finds them.
    let replaced = std::mem::replace(&mut programs.ebpf, own);
    after(Step::Committed)?;
    finish(programs, bridge, after)?;
    drop(replaced);
    Ok(())
}

/// The larger of each two sizes.
fn larger(wanted: &Capacities, now: &Capacities) -> Capacities {
    Capacities {
        frontends: wanted.frontends.max(now.frontends),
        services: wanted.services.max(now.services),
        slots: wanted.slots.max(now.slots),
        backends: wanted.backends.max(now.backends),
        name_cells: wanted.name_cells.max(now.name_cells),
        sockets: wanted.sockets.max(now.sockets),
        affinities: wanted.affinities.max(now.affinities),
        flows: wanted.flows.max(now.flows),
        prefixes: wanted.prefixes.max(now.prefixes),
    }
}

/// Makes and fills the directory of the next instance.
fn make(
    programs: &Programs,
    wanted: &Capacities,
    next: &PinDirs,
    after: After<'_>,
) -> Result<Made, KernelError> {
    let Programs { dirs, features, log_level, .. } = programs;
    let (features, log_level) = (*features, *log_level);
    let shapes = object::shapes()?;
    instance::remove(&next.maps)?;
    next.create()?;
    let mut changed = Vec::new();
    for name in MAPS {
        if is_of_programs(name) {
            continue;
        }
        let map = open_pin(dirs, &shapes, name, Access::ReadWrite)?;
        if object::capacity(name, wanted).is_some_and(|wanted| wanted > map.shape().max_entries) {
            changed.push((name, map));
            continue;
        }
        let pin = next.maps.join(name);
        map.pin(&pin).map_err(|source| KernelError::path(pin, "BPF_OBJ_PIN", source))?;
    }
    after(Step::Shared)?;
    let is_bridged = changed.iter().any(|(name, _)| super::carry::REMEMBERED.contains(name));
    let load_with = |former| load(&Load { dirs: next, capacities: wanted, features, log_level, former });
    let own = load_with(None)?;
    let bridge = if is_bridged { Some(load_with(Some(dirs))?) } else { None };
    after(Step::Loaded)?;
    for (name, from) in &changed {
        if !super::carry::REMEMBERED.contains(name) {
            let to = open_pin(next, &shapes, name, Access::ReadWrite)?;
            copy::copy(from, &to, None).map_err(|source| KernelError::Call {
                object: name,
                call: "copying",
                source,
            })?;
        }
    }
    after(Step::Copied)?;
    if is_bridged {
        before::fill(next, &before::of(&programs.ebpf)?)?;
        after(Step::Before)?;
    }
    let maps = PinnedMaps::open(next.clone(), &shapes, Access::ReadWrite)?;
    Ok(Made { bridge, own, maps })
}

/// Maps that belong to the programs of one instance alone.
fn is_of_programs(name: MapName) -> bool {
    [STAGES, SCRATCH, TRANSITION, BEFORE_PACKETS].contains(&name)
        || BEFORE.iter().any(|(map, _)| *map == name)
}
