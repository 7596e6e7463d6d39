//! What the kernel says of programs and maps that are known by their id, whoever loaded them.

use super::call::{bpf, bpf_open, empty, object_info};
use super::map::MapFd;
use aya_obj::generated::{bpf_attach_type, bpf_cmd, bpf_map_info, bpf_prog_info};
use std::fmt;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Maps that one program may use (`MAX_USED_MAPS` of linux/bpf_verifier.h).
const MOST_MAPS: usize = 64;

/// A loaded program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProgramInfo {
    /// Its id.
    pub id: u32,
    /// Its name, at most 15 bytes; empty if its loader gave it none.
    pub name: String,
    /// Hash of its instructions, as bpftool shows it.
    pub tag: [u8; 8],
    /// Ids of the maps that it uses.
    pub maps: Vec<u32>,
}

impl ProgramInfo {
    /// Asks for a program by id; `None` if there is none any more.
    ///
    /// # Errors
    /// Of BPF_PROG_GET_FD_BY_ID (`PermissionDenied`: no CAP_SYS_ADMIN) or BPF_OBJ_GET_INFO_BY_FD.
    pub fn by_id(id: u32) -> io::Result<Option<Self>> {
        match by_id(bpf_cmd::BPF_PROG_GET_FD_BY_ID, id) {
            Ok(fd) => Self::of(fd.as_fd()).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks about an open program.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET_INFO_BY_FD.
    pub fn of(program: BorrowedFd<'_>) -> io::Result<Self> {
        let mut maps = vec![0_u32; MOST_MAPS];
        // SAFETY: plain data, for which zeros are valid.
        let mut info: bpf_prog_info = unsafe { zeroed() };
        info.nr_map_ids = maps.len() as u32;
        info.map_ids = maps.as_mut_ptr() as u64;
        // SAFETY: every bit pattern is a valid `bpf_prog_info`, and `maps` has room for the number of ids that it names.
        unsafe { object_info(program, &mut info) }?;
        maps.truncate(info.nr_map_ids as usize);
        Ok(Self { id: info.id, name: text(&info.name), tag: info.tag, maps })
    }
}

/// As bpftool names it: `cil_sock4_connect (program 12, tag 0123456789abcdef)`.
impl fmt::Display for ProgramInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() { "a program without a name" } else { &self.name };
        write!(f, "{name} (program {}, tag {:016x})", self.id, u64::from_be_bytes(self.tag))
    }
}

/// A program by its id, to run.
///
/// # Errors
/// Of BPF_PROG_GET_FD_BY_ID (`PermissionDenied`: no CAP_SYS_ADMIN; `NotFound`: it is gone).
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    by_id(bpf_cmd::BPF_PROG_GET_FD_BY_ID, id)
}

impl MapFd {
    /// Opens a map by its id; `None` if there is none any more.
    ///
    /// # Errors
    /// Of BPF_MAP_GET_FD_BY_ID (`PermissionDenied`: no CAP_SYS_ADMIN) or BPF_OBJ_GET_INFO_BY_FD.
    pub fn by_id(id: u32) -> io::Result<Option<Self>> {
        match by_id(bpf_cmd::BPF_MAP_GET_FD_BY_ID, id) {
            Ok(fd) => Self::from_fd(fd).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The map's name, as far as 15 bytes go.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET_INFO_BY_FD.
    pub fn name(&self) -> io::Result<String> {
        // SAFETY: plain data, for which zeros are valid.
        let mut info: bpf_map_info = unsafe { zeroed() };
        // SAFETY: this is a map, and every bit pattern is a valid `bpf_map_info`.
        unsafe { object_info(self.as_fd(), &mut info) }?;
        Ok(text(&info.name))
    }
}

/// Ids of the programs that a cgroup itself has attached, and the flags it has them by (BPF_F_ALLOW_*).
///
/// # Errors
/// Of BPF_PROG_QUERY.
pub fn own_programs(cgroup: BorrowedFd<'_>, attach_type: bpf_attach_type) -> io::Result<(u32, Vec<u32>)> {
    // BPF_CGROUP_MAX_PROGS of linux/bpf-cgroup.h.
    let mut ids = vec![0_u32; 64];
    let mut attr = empty();
    attr.query.__bindgen_anon_1.target_fd = super::call::number(cgroup);
    attr.query.attach_type = attach_type as u32;
    attr.query.prog_ids = ids.as_mut_ptr() as u64;
    attr.query.__bindgen_anon_2.prog_cnt = ids.len() as u32;
    // SAFETY: `ids` has room for the number of ids that the attributes name.
    unsafe { bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr) }?;
    // SAFETY: plain data, whatever bits it holds.
    let query = unsafe { attr.query };
    // SAFETY: both members of this union are the same number.
    ids.truncate(unsafe { query.__bindgen_anon_2.prog_cnt } as usize);
    Ok((query.attach_flags, ids))
}

fn by_id(command: bpf_cmd, id: u32) -> io::Result<OwnedFd> {
    let mut attr = empty();
    attr.__bindgen_anon_6.__bindgen_anon_1.prog_id = id;
    // SAFETY: the attributes of these commands hold no address, and they return a descriptor.
    unsafe { bpf_open(command, &mut attr) }
}

fn text(name: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = name.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
