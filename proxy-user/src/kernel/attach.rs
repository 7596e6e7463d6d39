//! Attaches the socket programs to a cgroup by pinned links, which outlive the process.

use super::cgroup::Cgroup;
use super::error::KernelError;
use super::sys::{LinkFd, effective_programs};
use aya::Ebpf;
use aya::pin::PinError;
use aya::programs::links::{FdLink, LinkError};
use aya::programs::{CgroupAttachMode, Program, ProgramError, ProgramFd};
use aya_obj::generated::bpf_attach_type::{self, *};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Name of a program: in the object, of its link's pin and in the kernel.
pub type ProgramName = &'static str;

/// The programs and where each is attached. What restores addresses comes first, so that no
/// address is rewritten that nothing restores; what detaches goes the other way round.
pub const PROGRAMS: [(ProgramName, bpf_attach_type); 11] = [
    ("sock_release", BPF_CGROUP_INET_SOCK_RELEASE),
    ("getpeername4", BPF_CGROUP_INET4_GETPEERNAME),
    ("getpeername6", BPF_CGROUP_INET6_GETPEERNAME),
    ("recvmsg4", BPF_CGROUP_UDP4_RECVMSG),
    ("recvmsg6", BPF_CGROUP_UDP6_RECVMSG),
    ("sendmsg4", BPF_CGROUP_UDP4_SENDMSG),
    ("sendmsg6", BPF_CGROUP_UDP6_SENDMSG),
    ("connect4", BPF_CGROUP_INET4_CONNECT),
    ("connect6", BPF_CGROUP_INET6_CONNECT),
    ("post_bind4", BPF_CGROUP_INET4_POST_BIND),
    ("post_bind6", BPF_CGROUP_INET6_POST_BIND),
];

/// Names of [`PROGRAMS`], in the order in which they are detached.
pub(super) const DETACH_ORDER: [ProgramName; PROGRAMS.len()] = {
    let mut names = [""; PROGRAMS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = PROGRAMS[names.len() - 1 - index].0;
        index += 1;
    }
    names
};

/// What [`attach`] found and did, in numbers of programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attached {
    /// Attached by a new link: for the first time, or because the old link's cgroup is gone or
    /// another one.
    pub created: usize,
    /// Put in the place of a former program, without a gap.
    pub replaced: usize,
    /// Was attached already.
    pub unchanged: usize,
}

/// A program that is attached by a pinned link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// The program.
    pub program: ProgramName,
    /// Id of the link; it stays when the program is replaced.
    pub link_id: u32,
    /// Id of the program.
    pub program_id: u32,
    /// Id of the cgroup that it is attached to; zero once that cgroup is gone.
    pub cgroup_id: u64,
    /// True if the kernel runs it for sockets of the cgroup that was asked about.
    pub effective: bool,
}

/// Attaches every program that is not attached yet.
///
/// # Errors
/// Of the step that failed; what was attached before stays so, and the call may be repeated.
pub(super) fn attach(ebpf: &mut Ebpf, links: &Path, cgroup: &Cgroup) -> Result<Attached, KernelError> {
    let mut done = Attached::default();
    let mut moved = false;
    for (name, attach_type) in PROGRAMS {
        let program = ebpf.program_mut(name).ok_or(KernelError::Object { object: name })?;
        let pin = links.join(name);
        discard(&unfinished(&pin, name))?;
        match reuse(program, name, attach_type, &pin, cgroup)? {
            Some(Reused::Unchanged) => done.unchanged += 1,
            Some(Reused::Replaced) => done.replaced += 1,
            None => {
                moved |= is_elsewhere(&pin, cgroup);
                create(program, name, &pin, cgroup)?;
                done.created += 1;
            }
        }
    }
    if moved {
        tracing::warn!(
            "the programs served another cgroup before; they serve the one asked for now, and not that"
        );
    }
    Ok(done)
}

/// Whether the link at `pin` is attached to another cgroup, which is still there.
fn is_elsewhere(pin: &Path, cgroup: &Cgroup) -> bool {
    let info = LinkFd::open(pin).and_then(|link| link.info());
    matches!(info, Ok(Some(info)) if info.cgroup_id != 0 && info.cgroup_id != cgroup.id())
}

enum Reused {
    Unchanged,
    Replaced,
}

/// Makes the pinned link run `program`; `None` if there is no link that could.
fn reuse(
    program: &Program,
    name: ProgramName,
    attach_type: bpf_attach_type,
    pin: &Path,
    cgroup: &Cgroup,
) -> Result<Option<Reused>, KernelError> {
    let link = match LinkFd::open(pin) {
        Ok(link) => link,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KernelError::path(pin, "BPF_OBJ_GET", source)),
    };
    let info = link.info().map_err(|source| KernelError::path(pin, "BPF_OBJ_GET_INFO_BY_FD", source))?;
    let Some(info) = info.filter(|info| {
        // BPF_LINK_UPDATE compares program types only, not where they are attached.
        info.cgroup_id == cgroup.id() && info.attach_type == attach_type as u32
    }) else {
        return Ok(None);
    };
    let own =
        program.info().map_err(|source| KernelError::program(name, "BPF_OBJ_GET_INFO_BY_FD", source))?;
    if info.program_id == own.id() {
        return Ok(Some(Reused::Unchanged));
    }
    let fd = program_fd(program, name)?;
    match link.update(fd.as_fd()) {
        Ok(()) => Ok(Some(Reused::Replaced)),
        // Its cgroup was removed since.
        Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => Ok(None),
        Err(source) => Err(KernelError::Call { object: name, call: "BPF_LINK_UPDATE", source }),
    }
}

/// Attaches anew and pins over what lies at `pin`. Links to one cgroup run side by side, so for a
/// moment both programs may run: the second one finds a rewritten address and lets it pass.
fn create(program: &mut Program, name: ProgramName, pin: &Path, cgroup: &Cgroup) -> Result<(), KernelError> {
    let link =
        new_link(program, cgroup).map_err(|source| KernelError::program(name, "BPF_LINK_CREATE", source))?;
    let fresh = unfinished(pin, name);
    link.pin(&fresh).map_err(|error| KernelError::path(&fresh, "BPF_OBJ_PIN", pin_error(error)))?;
    fs::rename(&fresh, pin).map_err(|source| KernelError::path(fresh, "rename", source))
}

/// Where a link is pinned until it takes its place; bpffs reserves names with a dot.
pub(super) fn unfinished(pin: &Path, name: &str) -> PathBuf {
    pin.with_file_name(format!("{name}_new"))
}

/// Removes a pin, if there is one: what an agent left that was killed between attaching and renaming.
pub(super) fn discard(fresh: &Path) -> Result<(), KernelError> {
    match fs::remove_file(fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(KernelError::path(fresh, "unlink", error)),
        _ => Ok(()),
    }
}

fn new_link(program: &mut Program, cgroup: &Cgroup) -> Result<FdLink, ProgramError> {
    // aya hands the mode to BPF_LINK_CREATE as flags, where only 0 is valid; a link is always one of
    // several (`BPF_F_ALLOW_MULTI`).
    let mode = CgroupAttachMode::Single;
    let link = match program {
        Program::CgroupSockAddr(program) => {
            let id = program.attach(cgroup, mode)?;
            FdLink::try_from(program.take_link(id)?)
        }
        Program::CgroupSock(program) => {
            let id = program.attach(cgroup, mode)?;
            FdLink::try_from(program.take_link(id)?)
        }
        _ => return Err(ProgramError::UnexpectedProgramType),
    };
    link.map_err(|error: LinkError| io::Error::other(error).into())
}

fn program_fd(program: &Program, name: ProgramName) -> Result<&ProgramFd, KernelError> {
    match program {
        Program::CgroupSockAddr(program) => program.fd(),
        Program::CgroupSock(program) => program.fd(),
        _ => return Err(KernelError::Object { object: name }),
    }
    .map_err(|source| KernelError::program(name, "BPF_LINK_UPDATE", source))
}

fn pin_error(error: PinError) -> io::Error {
    match error {
        PinError::SyscallError(error) => error.io_error,
        error => io::Error::other(error),
    }
}

/// The programs that have a pinned link, in the order of [`PROGRAMS`], and whether the kernel runs
/// them for sockets of `cgroup`.
///
/// # Errors
/// Of BPF_OBJ_GET, BPF_OBJ_GET_INFO_BY_FD or BPF_PROG_QUERY.
pub(super) fn attached(links: &Path, cgroup: &Cgroup) -> Result<Vec<Attachment>, KernelError> {
    let mut found = Vec::with_capacity(PROGRAMS.len());
    for (program, attach_type) in PROGRAMS {
        let pin = links.join(program);
        let link = match LinkFd::open(&pin) {
            Ok(link) => link,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(source) => return Err(KernelError::path(pin, "BPF_OBJ_GET", source)),
        };
        let info = link.info().map_err(|source| KernelError::path(pin, "BPF_OBJ_GET_INFO_BY_FD", source))?;
        let Some(info) = info.filter(|info| info.attach_type == attach_type as u32) else { continue };
        let effective = effective_programs(cgroup.as_fd(), attach_type)
            .map_err(|source| KernelError::Call { object: program, call: "BPF_PROG_QUERY", source })?
            .contains(&info.program_id);
        found.push(Attachment {
            program,
            link_id: info.link_id,
            program_id: info.program_id,
            cgroup_id: info.cgroup_id,
            effective,
        });
    }
    Ok(found)
}
