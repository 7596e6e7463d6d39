//! The programs that bridging ones hand over to: put where those find them before anybody runs one, and taken out at the
//! end. They are never put there later: a bridging program would come to stand in its own way.

use crate::kernel::bpffs::PinDirs;
use crate::kernel::error::KernelError;
use crate::kernel::object::{self, BEFORE, BEFORE_PACKETS, MapName};
use crate::kernel::packets::PacketHook;
use crate::kernel::pinned::open_pin;
use crate::kernel::sys::{Access, MapFd, put_program};
use aya::Ebpf;
use aya::programs::{Program, ProgramFd};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};

/// The programs that are replaced, by the map that they are put into and the place there.
pub type Replaced = Vec<(MapName, u32, OwnedFd)>;

/// Those of an object whose programs are loaded, and run or are the same as run.
///
/// # Errors
/// [`KernelError::Object`], or of dup(2).
pub fn of(ebpf: &Ebpf) -> Result<Replaced, KernelError> {
    let sockets = BEFORE.into_iter().map(|(map, program)| (map, 0, program));
    let packets = PacketHook::BOTH.into_iter().map(|hook| (BEFORE_PACKETS, place(hook), hook.program()));
    sockets
        .chain(packets)
        .map(|(map, index, name)| {
            let fd = fd(ebpf, name)?;
            let fd = fd.as_fd().try_clone_to_owned();
            let fd = fd.map_err(|source| KernelError::Call { object: name, call: "dup", source })?;
            Ok((map, index, fd))
        })
        .collect()
}

/// Puts programs where bridging ones find them.
///
/// # Errors
/// Of BPF_OBJ_GET or BPF_MAP_UPDATE_ELEM.
pub fn fill(dirs: &PinDirs, programs: &Replaced) -> Result<(), KernelError> {
    for (map, index, program) in programs {
        put_program(&open(dirs, map)?, *index, program.as_fd()).map_err(|source| KernelError::Call {
            object: map,
            call: "BPF_MAP_UPDATE_ELEM",
            source,
        })?;
    }
    Ok(())
}

/// Takes them out.
///
/// # Errors
/// Of BPF_OBJ_GET or BPF_MAP_DELETE_ELEM.
pub fn clear(dirs: &PinDirs) -> Result<(), KernelError> {
    let maps = BEFORE.into_iter().map(|(map, _)| (map, 1)).chain([(BEFORE_PACKETS, 2)]);
    for (map, count) in maps {
        let programs = open(dirs, map)?;
        for index in 0_u32..count {
            match programs.delete(&index.to_ne_bytes()) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(KernelError::Call { object: map, call: "BPF_MAP_DELETE_ELEM", source });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Index in BEFORE_PACKETS: a `proxy_common::packet::Hook`.
pub const fn place(hook: PacketHook) -> u32 {
    match hook {
        PacketHook::Ingress => 0,
        PacketHook::Egress => 1,
    }
}

fn open(dirs: &PinDirs, map: MapName) -> Result<MapFd, KernelError> {
    open_pin(dirs, &object::shapes()?, map, Access::ReadWrite)
}

fn fd<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a ProgramFd, KernelError> {
    match ebpf.program(name) {
        Some(Program::CgroupSockAddr(program)) => program.fd(),
        Some(Program::CgroupSock(program)) => program.fd(),
        Some(Program::SchedClassifier(program)) => program.fd(),
        _ => return Err(KernelError::Object { object: name }),
    }
    .map_err(|source| KernelError::program(name, "dup", source))
}
