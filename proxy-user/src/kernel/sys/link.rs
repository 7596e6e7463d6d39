//! Links to a cgroup, and the programs in effect there.

use super::call::{bpf, empty, number, object_get, object_info, object_pin};
use aya_obj::generated::{BPF_F_QUERY_EFFECTIVE, bpf_attach_type, bpf_cmd, bpf_link_info, bpf_link_type};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What a program is attached by. Delete at aya >= 0.16: it can replace the program of a cgroup
/// link itself.
#[derive(Debug)]
pub struct LinkFd(OwnedFd);

/// What the kernel says of a link to a cgroup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CgroupLink {
    /// Id of the link; it stays when its program is replaced.
    pub link_id: u32,
    /// Id of the program.
    pub program_id: u32,
    /// Id of the cgroup; zero once the cgroup is gone.
    pub cgroup_id: u64,
    /// A `bpf_attach_type`.
    pub attach_type: u32,
}

impl LinkFd {
    /// Opens a pinned link.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET (`NotFound`: no such pin).
    pub fn open(path: &Path) -> io::Result<Self> {
        object_get(path, 0).map(Self)
    }

    /// Its id, whatever it links.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET_INFO_BY_FD.
    pub fn id(&self) -> io::Result<u32> {
        // SAFETY: plain data, for which zeros are valid.
        let mut info: bpf_link_info = unsafe { zeroed() };
        // SAFETY: whatever object this is, every bit pattern is a valid `bpf_link_info`.
        unsafe { object_info(self.0.as_fd(), &mut info) }?;
        Ok(info.id)
    }

    /// What it links; `None` if it is no link to a cgroup.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET_INFO_BY_FD.
    pub fn info(&self) -> io::Result<Option<CgroupLink>> {
        // SAFETY: plain data, for which zeros are valid.
        let mut info: bpf_link_info = unsafe { zeroed() };
        // SAFETY: whatever object this is, every bit pattern is a valid `bpf_link_info`.
        unsafe { object_info(self.0.as_fd(), &mut info) }?;
        if info.type_ != bpf_link_type::BPF_LINK_TYPE_CGROUP as u32 {
            return Ok(None);
        }
        // SAFETY: plain numbers; the kernel has just said that this member is the one in use.
        let cgroup = unsafe { info.__bindgen_anon_1.cgroup };
        Ok(Some(CgroupLink {
            link_id: info.id,
            program_id: info.prog_id,
            cgroup_id: cgroup.cgroup_id,
            attach_type: cgroup.attach_type,
        }))
    }

    /// Pins it: it then outlives this process.
    ///
    /// # Errors
    /// Of BPF_OBJ_PIN (`AlreadyExists`: there is such a pin).
    pub fn pin(&self, path: &Path) -> io::Result<()> {
        object_pin(path, self.0.as_fd())
    }

    /// Detaches it at once, whoever else has it open or pinned (Linux 5.9).
    ///
    /// # Errors
    /// Of BPF_LINK_DETACH; ENOLINK: it was detached before.
    pub fn detach(&self) -> io::Result<()> {
        let mut attr = empty();
        attr.link_detach.link_fd = number(self.0.as_fd());
        // SAFETY: the attributes of this command hold no address.
        unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr) }.map(drop)
    }

    /// Puts another program in the place of the attached one, without a gap (Linux 5.7).
    ///
    /// # Errors
    /// Of BPF_LINK_UPDATE; ENOLINK: its cgroup or device is gone.
    pub fn update(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let mut attr = empty();
        attr.link_update.link_fd = number(self.0.as_fd());
        attr.link_update.__bindgen_anon_1.new_prog_fd = number(program);
        // SAFETY: the attributes of this command hold no address.
        unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr) }.map(drop)
    }
}

impl From<OwnedFd> for LinkFd {
    /// A descriptor that BPF_LINK_CREATE gave out.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for LinkFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Ids of the programs that the kernel runs for sockets of a cgroup, its ancestors' included.
///
/// # Errors
/// Of BPF_PROG_QUERY.
pub fn effective_programs(cgroup: BorrowedFd<'_>, attach_type: bpf_attach_type) -> io::Result<Vec<u32>> {
    // A cgroup may have at most 64 programs of one type of its own (BPF_CGROUP_MAX_PROGS).
    let mut ids = vec![0_u32; 64];
    loop {
        let mut attr = empty();
        attr.query.__bindgen_anon_1.target_fd = number(cgroup);
        attr.query.attach_type = attach_type as u32;
        attr.query.query_flags = BPF_F_QUERY_EFFECTIVE;
        attr.query.prog_ids = ids.as_mut_ptr() as u64;
        attr.query.__bindgen_anon_2.prog_cnt = ids.len() as u32;
        // SAFETY: `ids` has room for the number of ids that the attributes name.
        let result = unsafe { bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr) };
        // SAFETY: plain data, whatever bits it holds.
        let query = unsafe { attr.query };
        // SAFETY: both members of this union are the same number.
        let count = unsafe { query.__bindgen_anon_2.prog_cnt } as usize;
        match result {
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && count > ids.len() => {
                ids.resize(count, 0);
            }
            Err(error) => return Err(error),
            Ok(_) => {
                ids.truncate(count);
                return Ok(ids);
            }
        }
    }
}
