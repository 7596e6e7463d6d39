//! What can go wrong between an embedder and the kernel.

use crate::{kernel::KernelError, writer::WriteError};

/// Opening, syncing or reading a dataplane failed.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// Opening maps, loading or attaching programs.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Writing or reading a map. What was not written stays planned: sync again.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl DataplaneError {
    /// True if the machine lacks what Shunt needs; trying again will not help.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Kernel(error) => error.is_environment(),
            Self::Write(_) => false,
        }
    }
}
