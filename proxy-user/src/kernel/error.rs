//! What can go wrong between Shunt and bpf(2), each with the object, the failing call and, where
//! the user can do something, what to do.

use super::layout::Difference;
use super::lock::Holder;
use super::shape::MapShape;
use aya::programs::ProgramError;
use std::io;
use std::path::PathBuf;

/// Opening, adopting, attaching or removing failed. The text is one line, remedy included; only a
/// verifier's log ([`KernelError::Program`]) is longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The kernel is built without something that one task needs. All else works without it.
    #[error("the kernel has no {missing}: {meaning}")]
    Missing {
        /// What it lacks, with the option it is built by.
        missing: &'static str,
        /// What becomes of the task.
        meaning: &'static str,
    },
    /// A capability is missing.
    #[error("{call} was refused for lack of {capability}: run as root, or give the process {capability}")]
    Privileges {
        /// The call that the kernel refused.
        call: &'static str,
        /// What it asks for.
        capability: &'static str,
    },
    /// The kernel is older than [`super::features::OLDEST`].
    #[error("the kernel is Linux {found}, and Shunt needs 5.10 or later: boot a newer kernel")]
    KernelTooOld {
        /// Release of the running kernel.
        found: String,
    },
    /// The cgroup path is not in a cgroup v2 hierarchy.
    #[error("{path} is not in a cgroup v2 hierarchy: {remedy}")]
    NotCgroup2 {
        /// The path that was given.
        path: PathBuf,
        /// What to do.
        remedy: String,
    },
    /// The cgroup is the one that a container takes for the root.
    #[error("{path} is this container's own cgroup, where no socket of the node's pods is: {remedy}")]
    NarrowCgroup {
        /// The path that was given, or found.
        path: PathBuf,
        /// The mount that is missing.
        remedy: String,
    },
    /// The pin path is not on a bpffs.
    #[error(
        "{path} is not on a bpffs: choose a path under /sys/fs/bpf, or mount one there with \
         `mount -t bpf bpf <directory>`"
    )]
    NoBpffs {
        /// The pin path.
        path: PathBuf,
    },
    /// Another process holds the pin path.
    #[error("{path} is in use by {}: stop that process first", holder_text(.holder.as_ref()))]
    Locked {
        /// The pin path.
        path: PathBuf,
        /// Who holds it, where /proc/locks says so.
        holder: Option<Holder>,
    },
    /// Another process watches the decisions of a pin path.
    #[error(
        "the decisions of {path} are watched by {} already, and they have one reader: stop that process first",
        holder_text(.holder.as_ref())
    )]
    Watched {
        /// The pin path.
        path: PathBuf,
        /// Who watches, where /proc/locks says so.
        holder: Option<Holder>,
    },
    /// A pinned map is not what this version of Shunt makes.
    #[error(
        "pinned map {pin} is {found}, but Shunt needs {expected}: remove that pin, or choose another pin path"
    )]
    ForeignMap {
        /// Path of the pin.
        pin: PathBuf,
        /// What Shunt would make.
        expected: MapShape,
        /// What lies there.
        found: MapShape,
    },
    /// The entries of a pinned map have the size of ours, but are made of other fields.
    #[error(
        "pinned map {pin} is not what Shunt needs ({difference}): remove that pin, or choose another pin path"
    )]
    ForeignFields {
        /// Path of the pin.
        pin: PathBuf,
        /// The first difference.
        difference: Difference,
    },
    /// A map that should be pinned is not: no agent has run with this pin path.
    #[error("{pin} does not exist: no agent has used this pin path")]
    NotPinned {
        /// Path of the missing pin.
        pin: PathBuf,
    },
    /// A system call on a path failed.
    #[error("{call} {path}: {source}")]
    Path {
        /// The path.
        path: PathBuf,
        /// The call.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A bpf(2) or mmap(2) call on a map, link or program failed.
    #[error("{call} of {object}: {source}")]
    Call {
        /// The map, link or program.
        object: &'static str,
        /// The call.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A call on a device failed.
    #[error("{call} on device {device}: {source}")]
    Device {
        /// Index of the device.
        device: u32,
        /// The call.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The object has no map or program of this name, or one of another type: a broken build.
    #[error("the eBPF object does not have {object} as this library knows it: rebuild both together")]
    Object {
        /// The map or program.
        object: &'static str,
    },
    /// The eBPF object could not be read.
    #[error("the eBPF object is broken: {0}")]
    Parse(#[from] aya_obj::ParseError),
    /// The eBPF object could not be loaded.
    #[error("loading the eBPF object: {}", chain(.0))]
    Load(#[from] Box<aya::EbpfError>),
    /// The kernel refused to load or attach a program.
    #[error("{call} of program {program}: {}", chain(.source))]
    Program {
        /// The program.
        program: &'static str,
        /// What was done with it.
        call: &'static str,
        /// What aya said, with the verifier's log.
        source: Box<ProgramError>,
    },
}

impl KernelError {
    /// True if the machine lacks what Shunt needs: privileges, a cgroup v2 hierarchy, a bpffs or a
    /// recent kernel. Nothing was changed, and trying again will not help.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. }
                | Self::Privileges { .. }
                | Self::KernelTooOld { .. }
                | Self::NotCgroup2 { .. }
                | Self::NarrowCgroup { .. }
                | Self::NoBpffs { .. }
        )
    }

    /// True if the device that was meant does not exist, or not any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Device { source, .. } if source.raw_os_error() == Some(libc::ENODEV))
    }

    pub(super) const fn device(device: u32, call: &'static str, source: io::Error) -> Self {
        Self::Device { device, call, source }
    }

    pub(super) fn path(path: impl Into<PathBuf>, call: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Path { path: path.into(), call, source: source.into() }
    }

    pub(super) fn program(
        program: &'static str,
        call: &'static str,
        source: impl Into<ProgramError>,
    ) -> Self {
        let source = source.into();
        // The verifier speaks of pointers that only root may add to.
        if let ProgramError::LoadError { io_error, .. } = &source
            && io_error.kind() == io::ErrorKind::PermissionDenied
            && !super::capabilities::has_perfmon()
        {
            return Self::Privileges { call, capability: "CAP_PERFMON" };
        }
        Self::Program { program, call, source: Box::new(source) }
    }
}

fn holder_text(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { pid, command }) => format!("process {pid} ({command})"),
        None => "a process outside of this PID namespace".to_owned(),
    }
}

/// aya's errors name only their own layer; the cause stands in `source()`.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        // Transparent layers repeat the text of the layer below.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = error.source();
    }
    text
}
