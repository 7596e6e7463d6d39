//! Links to the ingress and egress of a device by tcx (Linux 6.6, commit e420bed02507).

use super::call::{bpf, bpf_open, empty, number, object_info};
use super::link::LinkFd;
use aya_obj::generated::{BPF_F_BEFORE, bpf_attach_type, bpf_cmd, bpf_link_info, bpf_link_type};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, BorrowedFd};

/// What the kernel says of a link to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcxLink {
    /// Id of the link; it stays when its program is replaced.
    pub link_id: u32,
    /// Id of the program.
    pub program_id: u32,
    /// Index of the device in its network namespace; zero once the device is gone.
    pub device: u32,
    /// A `bpf_attach_type`.
    pub attach_type: u32,
}

impl LinkFd {
    /// Attaches a program to a device of the calling thread's network namespace, to run before those that are
    /// attached already. It is detached when neither a descriptor nor a pin is left.
    ///
    /// # Errors
    /// Of BPF_LINK_CREATE; EINVAL: the kernel has no tcx. ENODEV: no such device.
    pub fn create_tcx(
        program: BorrowedFd<'_>,
        device: u32,
        attach_type: bpf_attach_type,
    ) -> io::Result<Self> {
        let mut attr = empty();
        attr.link_create.__bindgen_anon_1.prog_fd = number(program);
        attr.link_create.__bindgen_anon_2.target_ifindex = device;
        attr.link_create.attach_type = attach_type as u32;
        attr.link_create.flags = BPF_F_BEFORE;
        // SAFETY: the attributes of this command hold no address for these types, and it returns a descriptor.
        unsafe { bpf_open(bpf_cmd::BPF_LINK_CREATE, &mut attr) }.map(Self::from)
    }

    /// What it links; `None` if it is no link to a device by tcx.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET_INFO_BY_FD.
    pub fn tcx_info(&self) -> io::Result<Option<TcxLink>> {
        // SAFETY: plain data, for which zeros are valid.
        let mut info: bpf_link_info = unsafe { zeroed() };
        // SAFETY: whatever object this is, every bit pattern is a valid `bpf_link_info`.
        unsafe { object_info(self.as_fd(), &mut info) }?;
        if info.type_ != bpf_link_type::BPF_LINK_TYPE_TCX as u32 {
            return Ok(None);
        }
        // SAFETY: plain numbers; the kernel has just said that this member is the one in use.
        let tcx = unsafe { info.__bindgen_anon_1.tcx };
        Ok(Some(TcxLink {
            link_id: info.id,
            program_id: info.prog_id,
            device: tcx.ifindex,
            attach_type: tcx.attach_type,
        }))
    }
}

/// A program that the kernel runs on a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcxProgram {
    /// Its id.
    pub program_id: u32,
    /// Id of the link that attaches it; zero if it is attached without one.
    pub link_id: u32,
}

/// The programs that the kernel runs on a device of the calling thread's network namespace by tcx, in the order in which
/// they run.
///
/// # Errors
/// Of BPF_PROG_QUERY; ENODEV: no such device. EINVAL: the kernel has no tcx.
pub fn tcx_programs(device: u32, attach_type: bpf_attach_type) -> io::Result<Vec<TcxProgram>> {
    // More programs than any kernel allows (BPF_MPROG_MAX is 64).
    let (mut programs, mut links) = ([0_u32; 256], [0_u32; 256]);
    let mut attr = empty();
    attr.query.__bindgen_anon_1.target_ifindex = device;
    attr.query.attach_type = attach_type as u32;
    attr.query.prog_ids = programs.as_mut_ptr() as u64;
    attr.query.link_ids = links.as_mut_ptr() as u64;
    attr.query.__bindgen_anon_2.prog_cnt = links.len() as u32;
    // SAFETY: both arrays have room for the number of ids that the attributes name.
    unsafe { bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr) }?;
    // SAFETY: plain data, whatever bits it holds.
    let query = unsafe { attr.query };
    // SAFETY: both members of this union are the same number.
    let count = unsafe { query.__bindgen_anon_2.prog_cnt } as usize;
    let ids = programs.iter().zip(&links).take(count);
    Ok(ids.map(|(program_id, link_id)| TcxProgram { program_id: *program_id, link_id: *link_id }).collect())
}

/// Ids of the links of [`tcx_programs`].
///
/// # Errors
/// As there.
pub fn tcx_links(device: u32, attach_type: bpf_attach_type) -> io::Result<Vec<u32>> {
    Ok(tcx_programs(device, attach_type)?.iter().map(|program| program.link_id).collect())
}
