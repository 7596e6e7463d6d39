//! BTF: the description of types that stands with a map, as the kernel keeps it.

use super::call::{bpf_open, empty, object_info};
use super::map::MapFd;
use aya_obj::generated::{bpf_btf_info, bpf_cmd, bpf_map_info};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, OwnedFd};

/// No map of ours has a hundredth of this; what is larger belongs to others.
const LARGEST: usize = 16 << 20;

/// Where the types of a map's keys and values are described.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapTypes {
    /// The kernel's number of the BTF; such numbers come again only after 2³¹ others.
    pub btf_id: u32,
    /// The type of the keys in it.
    pub key: u32,
    /// The type of the values in it.
    pub value: u32,
}

/// Which types a map was made with; `None` for one that was made without, as ring buffers and maps of other loaders
/// are.
///
/// # Errors
/// Of BPF_OBJ_GET_INFO_BY_FD.
pub fn map_types(map: &MapFd) -> io::Result<Option<MapTypes>> {
    // SAFETY: plain data, for which zeros are valid.
    let mut info: bpf_map_info = unsafe { zeroed() };
    // SAFETY: every bit pattern is a valid `bpf_map_info`.
    unsafe { object_info(map.as_fd(), &mut info) }?;
    let bpf_map_info { btf_id, btf_key_type_id: key, btf_value_type_id: value, .. } = info;
    Ok((btf_id != 0).then_some(MapTypes { btf_id, key, value }))
}

/// The bytes of a BTF, in the machine's byte order, as they were loaded.
///
/// # Errors
/// Of BPF_BTF_GET_FD_BY_ID (`PermissionDenied`: it asks for CAP_SYS_ADMIN; `NotFound`: all that used it is gone) or
/// BPF_OBJ_GET_INFO_BY_FD; `InvalidData` where it is larger than any that loaders make.
pub fn btf_bytes(id: u32) -> io::Result<Vec<u8>> {
    let fd = open(id)?;
    let size = describe(&fd, &mut [])? as usize;
    if size > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than any BTF of a loader"));
    }
    let mut bytes = vec![0; size];
    describe(&fd, &mut bytes)?;
    Ok(bytes)
}

fn open(id: u32) -> io::Result<OwnedFd> {
    let mut attr = empty();
    attr.__bindgen_anon_6.__bindgen_anon_1.btf_id = id;
    // SAFETY: the attributes of this command hold no address.
    unsafe { bpf_open(bpf_cmd::BPF_BTF_GET_FD_BY_ID, &mut attr) }
}

/// Fills `bytes` as far as they go, and returns how long the BTF is.
fn describe(fd: &OwnedFd, bytes: &mut [u8]) -> io::Result<u32> {
    // SAFETY: plain data, for which zeros are valid.
    let mut info: bpf_btf_info = unsafe { zeroed() };
    info.btf = bytes.as_mut_ptr() as u64;
    info.btf_size = bytes.len() as u32;
    // SAFETY: every bit pattern is a valid `bpf_btf_info`, and its address is that of `btf_size` bytes to write to.
    unsafe { object_info(fd.as_fd(), &mut info) }?;
    Ok(info.btf_size)
}
