//! What can go wrong while a lab is made.

use std::{fmt::Display, io};

/// A call on one object of the lab failed.
#[derive(Debug, thiserror::Error)]
#[error("{call} on {object}: {source}")]
pub struct LabError {
    /// The system call or netlink request that failed.
    pub call: &'static str,
    /// The namespace, device, address, cgroup or file it was about.
    pub object: String,
    /// What the kernel said.
    pub source: io::Error,
}

impl LabError {
    pub(super) fn new(call: &'static str, object: impl Display, source: impl Into<io::Error>) -> Self {
        Self { call, object: object.to_string(), source: source.into() }
    }

    /// Whether the kernel lacks what was asked for, such as a kind of device it was built without.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.source.raw_os_error() == Some(libc::EOPNOTSUPP)
    }
}
