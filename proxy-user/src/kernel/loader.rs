//! Loads the eBPF object over the pinned maps: adopts those that are there and fit, makes and pins
//! those that are missing, and has the kernel verify the programs.

use super::attach::PROGRAMS;
use super::bpffs::PinDirs;
use super::error::KernelError;
use super::features::Features;
use super::object::{self, AFFINITY, MAPS, MapName, OBJECT, REVERSE, STAGE_PROGRAMS, STAGES, UDP_FLOWS};
use super::packets::PacketHook;
use super::pinned::open_pin;
use super::sys::{Access, put_program};
use crate::writer::Capacities;
use aya::programs::Program;
use aya::{Ebpf, EbpfLoader};
use proxy_common::abi::ABI_VERSION;
use std::os::fd::AsFd;

/// What is loaded, and over which maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    /// The maps: those that are there are adopted, the others made.
    pub dirs: &'a PinDirs,
    /// Sizes of those that are made.
    pub capacities: &'a Capacities,
    /// What the kernel has.
    pub features: Features,
    /// aya-log level of programs built with log statements.
    pub log_level: u8,
    /// Bridging programs are loaded, and these are the maps of those that they replace.
    pub former: Option<&'a PinDirs>,
}

/// Maps of bridging programs that are those of the programs before, and their names there.
const FORMER: [(MapName, MapName); 3] =
    [("FORMER_UDP", UDP_FLOWS), ("FORMER_REVERSE", REVERSE), ("FORMER_AFFINITY", AFFINITY)];

/// Adopts or makes the maps, and loads the programs. Those that call on each other by STAGES do not find each other
/// before [`put_stages`].
///
/// # Errors
/// [`KernelError::ForeignMap`] before anything is made, or of the step that failed.
pub(super) fn load(load: &Load<'_>) -> Result<Ebpf, KernelError> {
    let Load { dirs, capacities, features, log_level, former } = *load;
    let shapes = object::shapes()?;
    let mut loader = EbpfLoader::new();
    // The programs read no kernel structure, so they need no BTF of the kernel.
    loader.btf(None);
    for name in MAPS {
        match open_pin(dirs, &shapes, name, Access::ReadWrite) {
            Ok(map) => {
                loader.map_max_entries(name, map.shape().max_entries);
            }
            Err(KernelError::NotPinned { .. }) => {
                if let Some(wanted) = object::capacity(name, capacities) {
                    loader.map_max_entries(name, wanted);
                }
            }
            Err(error) => return Err(error),
        }
        loader.map_pin_path(name, dirs.maps.join(name));
    }
    for (name, of) in FORMER {
        // Of another layout it would be read wrongly; then it stays empty.
        if let Some(former) = former
            && open_pin(former, &shapes, of, Access::Read).is_ok()
        {
            loader.map_pin_path(name, former.maps.join(of));
        }
    }
    let set_retval = u8::from(features.set_retval);
    let node_netns = features.netns_cookie.unwrap_or(0);
    let bridge = u8::from(former.is_some());
    loader
        .override_global("HAS_SET_RETVAL", &set_retval, true)
        .override_global("NODE_NETNS", &node_netns, true)
        .override_global("BRIDGE", &bridge, true)
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
    for name in PacketHook::BOTH.map(PacketHook::program).into_iter().chain(STAGE_PROGRAMS) {
        let Some(Program::SchedClassifier(program)) = ebpf.program_mut(name) else {
            return Err(KernelError::Object { object: name });
        };
        program.load().map_err(|source| KernelError::program(name, "BPF_PROG_LOAD", source))?;
    }
    Ok(ebpf)
}

/// Puts the stages of the packet path where the others find them, in the place of those that are there.
///
/// # Errors
/// Of BPF_OBJ_GET or BPF_MAP_UPDATE_ELEM.
pub(super) fn put_stages(ebpf: &Ebpf, dirs: &PinDirs) -> Result<(), KernelError> {
    let stages = open_pin(dirs, &object::shapes()?, STAGES, Access::ReadWrite)?;
    for (index, name) in (0_u32..).zip(STAGE_PROGRAMS) {
        let Some(Program::SchedClassifier(program)) = ebpf.program(name) else {
            return Err(KernelError::Object { object: name });
        };
        let fd = program.fd().map_err(|source| KernelError::program(name, "BPF_PROG_LOAD", source))?;
        put_program(&stages, index, fd.as_fd()).map_err(|source| KernelError::Call {
            object: STAGES,
            call: "BPF_MAP_UPDATE_ELEM",
            source,
        })?;
    }
    Ok(())
}
