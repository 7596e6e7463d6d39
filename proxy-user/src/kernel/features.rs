//! What the running kernel has, and whether this process may use it.

use super::error::KernelError;
use super::shape::MapShape;
use super::sys::{MapFd, netns_cookie, probe_set_retval};
use aya::util::KernelVersion;
use aya_obj::generated::bpf_map_type;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{Error, ErrorKind};

/// The oldest kernel that Shunt runs on: Linux 5.10.
pub const OLDEST: KernelVersion = KernelVersion::new(5, 10, 0);

/// What newer kernels have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features {
    /// A program may choose the error of the call that it refuses.
    pub set_retval: bool,
    /// Cookie of the network namespace that this process is in; `None` before Linux 5.14.
    pub netns_cookie: Option<u64>,
}

/// Checks the kernel and the process's privileges, and tries what newer kernels have.
///
/// # Errors
/// [`KernelError::KernelTooOld`], [`KernelError::Privileges`], or [`KernelError::Call`] where a
/// probe fails in another way.
pub fn probe() -> Result<Features, KernelError> {
    check_version()?;
    lift_memlock();
    // Unlike an array, an LRU map is refused without CAP_BPF even where
    // kernel.unprivileged_bpf_disabled is 0.
    let map = MapShape {
        map_type: bpf_map_type::BPF_MAP_TYPE_LRU_HASH as u32,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        flags: 0,
    };
    MapFd::create(&map, None).map_err(|error| refused(error, "BPF_MAP_CREATE", "CAP_BPF"))?;
    let set_retval =
        probe_set_retval().map_err(|error| refused(error, "BPF_PROG_LOAD", "CAP_BPF and CAP_NET_ADMIN"))?;
    // Without it the programs take the initial namespace for the node's.
    let netns_cookie = netns_cookie().ok();
    Ok(Features { set_retval, netns_cookie })
}

fn check_version() -> Result<(), KernelError> {
    // aya reads the true version on Debian and Ubuntu, whose release strings hide it.
    match KernelVersion::current() {
        Ok(version) if version < OLDEST => Err(KernelError::KernelTooOld {
            found: rustix::system::uname().release().to_string_lossy().into_owned(),
        }),
        // An unreadable version is no reason to refuse: the probes and the verifier decide.
        _ => Ok(()),
    }
}

/// Before 5.11 (commit 97306be45fbe) map memory counts against RLIMIT_MEMLOCK, 64 KiB by default.
/// Failing is fine: the map that does not fit says so.
fn lift_memlock() {
    if KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(5, 11, 0))
        && let Err(error) = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })
    {
        tracing::warn!(%error, "RLIMIT_MEMLOCK could not be lifted: large maps may be refused");
    }
}

fn refused(source: Error, call: &'static str, capability: &'static str) -> KernelError {
    if source.kind() == ErrorKind::PermissionDenied {
        KernelError::Privileges { call, capability }
    } else {
        KernelError::Call { object: "a probe", call, source }
    }
}
