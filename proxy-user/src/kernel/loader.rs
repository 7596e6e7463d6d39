//! Loads the eBPF object over the pinned maps: adopts those that are there and fit, makes and pins
//! those that are missing, and has the kernel verify the programs.

use super::attach::PROGRAMS;
use super::bpffs::PinDirs;
use super::error::KernelError;
use super::features::Features;
use super::object::{self, MAPS, OBJECT, STAGE_PROGRAMS, STAGES};
use super::packets::PacketHook;
use super::pinned::{PinnedMaps, open_pin};
use super::sys::Access;
use crate::writer::Capacities;
use aya::maps::ProgramArray;
use aya::programs::Program;
use aya::{Ebpf, EbpfLoader};
use proxy_common::abi::ABI_VERSION;

/// The object with its programs loaded but not attached, and its maps.
#[derive(Debug)]
pub(super) struct Loaded {
    pub ebpf: Ebpf,
    pub maps: PinnedMaps,
}

/// Adopts or makes the maps, and loads the programs.
///
/// # Errors
/// [`KernelError::ForeignMap`] before anything is made, or of the step that failed.
pub(super) fn load(
    dirs: &PinDirs,
    capacities: &Capacities,
    features: Features,
    log_level: u8,
) -> Result<Loaded, KernelError> {
    let shapes = object::shapes()?;
    let mut loader = EbpfLoader::new();
    // The programs read no kernel structure, so they need no BTF of the kernel.
    loader.btf(None);
    for name in MAPS {
        let wanted = object::capacity(name, capacities);
        match open_pin(dirs, &shapes, name, Access::ReadWrite) {
            Ok(map) => {
                let entries = map.shape().max_entries;
                if wanted.is_some_and(|wanted| wanted != entries) {
                    tracing::warn!(
                        map = name,
                        entries,
                        wanted,
                        "an adopted map keeps its size: remove the pins to have it made anew"
                    );
                }
                loader.map_max_entries(name, entries);
            }
            Err(KernelError::NotPinned { .. }) => {
                if let Some(wanted) = wanted {
                    loader.map_max_entries(name, wanted);
                }
            }
            Err(error) => return Err(error),
        }
        loader.map_pin_path(name, dirs.maps.join(name));
    }
    let set_retval = u8::from(features.set_retval);
    let node_netns = features.netns_cookie.unwrap_or(0);
    loader
        .override_global("HAS_SET_RETVAL", &set_retval, true)
        .override_global("NODE_NETNS", &node_netns, true)
        .override_global("ABI_VERSION", &ABI_VERSION, true)
        // Absent from an object built without log statements.
        .override_global("AYA_LOG_LEVEL", &log_level, false);
    let mut ebpf = loader.load(OBJECT).map_err(Box::new)?;
    for (name, _) in PROGRAMS {
        match ebpf.program_mut(name) {
            Some(Program::CgroupSockAddr(program)) => program.load(),
            Some(Program::CgroupSock(program)) => program.load(),
            _ => return Err(KernelError::Object { object: name }),
        }
        .map_err(|source| KernelError::program(name, "BPF_PROG_LOAD", source))?;
    }
    for hook in PacketHook::BOTH {
        let name = hook.program();
        let Some(Program::SchedClassifier(program)) = ebpf.program_mut(name) else {
            return Err(KernelError::Object { object: name });
        };
        program.load().map_err(|source| KernelError::program(name, "BPF_PROG_LOAD", source))?;
    }
    load_stages(&mut ebpf)?;
    let maps = PinnedMaps::open(dirs.clone(), &shapes, Access::ReadWrite)?;
    Ok(Loaded { ebpf, maps })
}

/// Loads the stages of the packet path and puts them where the others find them, in the place of a former agent's.
fn load_stages(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    let map = ebpf.take_map(STAGES).ok_or(KernelError::Object { object: STAGES })?;
    let mut stages = ProgramArray::try_from(map).map_err(|_| KernelError::Object { object: STAGES })?;
    for (index, name) in (0_u32..).zip(STAGE_PROGRAMS) {
        let Some(Program::SchedClassifier(program)) = ebpf.program_mut(name) else {
            return Err(KernelError::Object { object: name });
        };
        program.load().map_err(|source| KernelError::program(name, "BPF_PROG_LOAD", source))?;
        let fd = program.fd().map_err(|source| KernelError::program(name, "BPF_PROG_LOAD", source))?;
        stages.set(index, fd, 0).map_err(|error| KernelError::Call {
            object: STAGES,
            call: "BPF_MAP_UPDATE_ELEM",
            source: std::io::Error::other(error),
        })?;
    }
    Ok(())
}
