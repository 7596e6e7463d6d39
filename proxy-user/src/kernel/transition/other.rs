//! From the maps of another version of Shunt, older or newer: they are converted field by field.
//!
//! Where that cannot be done, the other version's programs go on, and new maps are filled by what the agent is told; that
//! they are not yet is said by a directory `unfilled` beside them.

use super::before::{self, Replaced};
use super::copy::copy;
use super::instance::{self, Instances};
use super::step::{After, Step};
use super::turn::{Refusal, Turner};
use crate::kernel::attach::PROGRAMS;
use crate::kernel::bpffs::{self, PinDirs};
use crate::kernel::error::KernelError;
use crate::kernel::features::Features;
use crate::kernel::loader::{Load, load};
use crate::kernel::object::{
    self, BACKENDS, COUNTERS, DEVICES, FRONTENDS4, FRONTENDS6, MAPS, MapName, NAMES, NETWORKS, NODE, PACKETS,
    SERVICES, SLOTS, SOURCE_RANGES, STATS,
};
use crate::kernel::packets;
use crate::kernel::pinned::open_pin;
use crate::kernel::sys::{Access, LinkFd, MapFd, program_by_id};
use crate::writer::Capacities;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What only agents write, and totals.
const COPIED: [MapName; 12] = [
    FRONTENDS4,
    FRONTENDS6,
    SERVICES,
    SLOTS,
    BACKENDS,
    NAMES,
    SOURCE_RANGES,
    NETWORKS,
    NODE,
    DEVICES,
    PACKETS,
    STATS,
];

const UNFILLED: &str = "unfilled";

/// What maps are made with.
#[derive(Clone, Copy)]
pub struct Making<'a> {
    /// Sizes, unless the other version's are larger.
    pub capacities: &'a Capacities,
    /// What the kernel has.
    pub features: Features,
    /// aya-log level.
    pub log_level: u8,
}

/// Makes the maps of this version from those of another one that serves, if there is such a one and none of this. True if
/// they are there and not filled: what serves has to go on serving until they are.
///
/// # Errors
/// Of the step that failed, after which all is as it was, or an error of `after`. That the other version's entries cannot
/// be turned into ours is none.
pub fn take_over(dirs: &PinDirs, making: Making<'_>, after: After<'_>) -> Result<bool, KernelError> {
    if !Instances::of(&dirs.version)?.whole.is_empty() {
        return Ok(is_unfilled(dirs));
    }
    let Some(former) = other(dirs)? else { return Ok(false) };
    let version = former.version.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unfinished = dirs.clone().unfinished();
    let mut ended = None;
    let made = make(&former, &unfinished, making, &mut |step| {
        after(step).map_err(|error| {
            let text = error.to_string();
            ended = Some(error);
            KernelError::Call { object: "a transition", call: "ending", source: std::io::Error::other(text) }
        })
    });
    let refusal = match made {
        Ok(()) => {
            fs::rename(&unfinished.maps, &dirs.maps)
                .map_err(|source| KernelError::path(&unfinished.maps, "rename", source))?;
            tracing::info!(version, "took over the maps of another version of Shunt");
            return Ok(false);
        }
        Err(refusal) => refusal,
    };
    instance::remove(&unfinished.maps)?;
    if let Some(error) = ended {
        return Err(error);
    }
    // Another attempt may have what this one lacked (memory, files), and keeps the flows: nothing is left of this one.
    let refusal = match refusal {
        Refusal::Kernel(error) => return Err(error),
        refusal => refusal,
    };
    tracing::warn!(
        version,
        reason = %refusal,
        "the maps of another version of Shunt cannot be taken over: its programs go on until this one knows all that is \
         in the cluster; connections made by then go on, but for flows of packets"
    );
    dirs.create_links()?;
    let marker = dirs.version.join(UNFILLED);
    match fs::create_dir(&marker) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(KernelError::path(marker, "mkdir", error))
        }
        _ => Ok(true),
    }
}

/// Whether the maps of this version wait for what is in the cluster, while another version serves.
pub fn is_unfilled(dirs: &PinDirs) -> bool {
    dirs.version.join(UNFILLED).exists()
}

/// Says that they wait no more.
///
/// # Errors
/// [`KernelError::Path`].
pub fn set_filled(dirs: &PinDirs) -> Result<(), KernelError> {
    let marker = dirs.version.join(UNFILLED);
    match fs::remove_dir(&marker) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(KernelError::path(marker, "rmdir", error)),
        _ => Ok(()),
    }
}

/// The newest instance of another version that has maps and links: that of the highest number.
///
/// # Errors
/// [`KernelError::Path`].
pub fn other(dirs: &PinDirs) -> Result<Option<PinDirs>, KernelError> {
    let Some(pin_path) = dirs.version.parent() else { return Ok(None) };
    let mut others: Vec<(u32, PathBuf)> = bpffs::versions(pin_path)?
        .into_iter()
        .filter(|name| *name != bpffs::current())
        .filter_map(|name| Some((name.strip_prefix('v')?.parse().ok()?, pin_path.join(name))))
        .collect();
    others.sort_unstable();
    for (_, version) in others.into_iter().rev() {
        let newest = Instances::of(&version)?.whole.last().copied();
        if let Some(number) = newest.filter(|_| version.join("links").exists()) {
            return Ok(Some(PinDirs::instance(version, number)));
        }
    }
    Ok(None)
}

/// Makes and fills the directory of the first instance.
fn make(former: &PinDirs, next: &PinDirs, making: Making<'_>, after: After<'_>) -> Result<(), Refusal> {
    let Making { capacities, features, log_level } = making;
    let capacities = &sizes(former, capacities)?;
    instance::remove(&next.maps)?;
    next.create()?;
    after(Step::Shared)?;
    // Both kinds, so that what the kernel refuses it refuses now.
    load(&Load { dirs: next, capacities, features, log_level, former: None })?;
    load(&Load { dirs: next, capacities, features, log_level, former: Some(former) })?;
    after(Step::Loaded)?;
    let shapes = object::shapes()?;
    let pinned = |name| {
        let to = open_pin(next, &shapes, name, Access::ReadWrite)?;
        Ok::<_, KernelError>(open(former, name)?.map(|from| (from, to)))
    };
    for name in COPIED.into_iter().chain([COUNTERS]) {
        let Some((from, to)) = pinned(name)? else { continue };
        let turner = Turner::new(name, &from, &to)?;
        copy(&from, &to, Some(&|key, value| turner.turn(key, value)))
            .map_err(|source| KernelError::Call { object: name, call: "copying", source })?;
    }
    // Later it is too late to find out.
    for name in super::carry::REMEMBERED {
        if let Some((from, to)) = pinned(name)? {
            Turner::new(name, &from, &to)?;
        }
    }
    after(Step::Copied)?;
    before::fill(next, &running(former).map_err(lasting)?).map_err(lasting)?;
    after(Step::Before)?;
    Ok(())
}

/// What no other attempt changes: a process that may not ask for the programs, and ones that the kernel does not put beside
/// ours. EINVAL of bpf_prog_map_compatible in kernel/bpf/core.c: of another type, or made with the JIT compiler switched on
/// or off since.
fn lasting(error: KernelError) -> Refusal {
    match &error {
        KernelError::Privileges { .. } => Refusal::Programs(error),
        KernelError::Call { call: "BPF_MAP_UPDATE_ELEM", source, .. }
            if source.raw_os_error() == Some(libc::EINVAL) =>
        {
            Refusal::Programs(error)
        }
        _ => Refusal::Kernel(error),
    }
}

/// The programs that links of another version run.
fn running(former: &PinDirs) -> Result<Replaced, KernelError> {
    let mut found = Replaced::new();
    for (map, name) in object::BEFORE {
        debug_assert!(PROGRAMS.iter().any(|(program, _)| *program == name));
        let pin = former.links.join(name);
        let link = match LinkFd::open(&pin) {
            Ok(link) => link,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(source) => return Err(KernelError::path(pin, "BPF_OBJ_GET", source)),
        };
        let info = link.info().map_err(|source| KernelError::path(pin, "BPF_OBJ_GET_INFO_BY_FD", source))?;
        if let Some(info) = info {
            found.push((map, 0, by_id(info.program_id)?));
        }
    }
    for (hook, id) in packets::running(&former.links)? {
        found.push((object::BEFORE_PACKETS, before::place(hook), by_id(id)?));
    }
    Ok(found)
}

fn by_id(id: u32) -> Result<std::os::fd::OwnedFd, KernelError> {
    program_by_id(id).map_err(|source| match source.kind() {
        ErrorKind::PermissionDenied => {
            KernelError::Privileges { call: "BPF_PROG_GET_FD_BY_ID", capability: "CAP_SYS_ADMIN" }
        }
        _ => KernelError::Call { object: "a program in use", call: "BPF_PROG_GET_FD_BY_ID", source },
    })
}

/// A pinned map of another version, if it has one of that name.
pub fn open(former: &PinDirs, name: MapName) -> Result<Option<MapFd>, KernelError> {
    let pin = former.maps.join(name);
    match MapFd::open(&pin, Access::Read) {
        Ok(map) => Ok(Some(map)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KernelError::path(pin, "BPF_OBJ_GET", source)),
    }
}

/// The larger of each two sizes: those that are wanted, and those that another version's maps have.
fn sizes(former: &PinDirs, wanted: &Capacities) -> Result<Capacities, KernelError> {
    let mut sizes = *wanted;
    for name in MAPS {
        if let (Some(map), Some(size)) = (open(former, name)?, object::capacity_mut(name, &mut sizes)) {
            *size = (*size).max(map.shape().max_entries);
        }
    }
    Ok(sizes)
}

/// Takes the pinned links of another version for ours; where we have one already, its own is detached.
///
/// # Errors
/// [`KernelError::Path`].
pub fn adopt_links(former: &PinDirs, dirs: &PinDirs) -> Result<(), KernelError> {
    let pins = |directory: &Path| -> Result<Vec<_>, KernelError> {
        let failed = |source| KernelError::path(directory, "read directory", source);
        match fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            entries => entries.map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.file_name())).collect(),
        }
    };
    for name in pins(&former.links)? {
        let (pin, ours) = (former.links.join(&name), dirs.links.join(&name));
        if ours.exists() || name.to_string_lossy().ends_with("_new") {
            crate::kernel::attach::discard(&pin)?;
        } else {
            fs::rename(&pin, &ours).map_err(|source| KernelError::path(&pin, "rename", source))?;
        }
    }
    Ok(())
}
