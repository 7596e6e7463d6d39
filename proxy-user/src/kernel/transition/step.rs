//! The steps of a transition.

use crate::kernel::error::KernelError;

/// A step that is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// The directory of the new maps has those that do not change.
    Shared,
    /// The new maps are made, and programs over them are loaded.
    Loaded,
    /// What the agent writes was copied.
    Copied,
    /// Bridging programs find those that they will replace.
    Before,
    /// The new maps are those of the pin path: from here on there is no way back.
    Committed,
    /// Bridging programs run.
    Bridged,
    /// What programs write was carried over.
    Carried,
    /// What begins, begins in the new maps.
    Begun,
    /// The rest was carried over.
    CarriedAgain,
    /// The programs that are to stay run.
    Swapped,
    /// Nobody finds the former programs any more.
    Cleared,
    /// The former maps are removed.
    Removed,
}

impl Step {
    /// All, in their order. A transition that needs no bridging programs leaves those about them out.
    pub const ALL: [Self; 12] = [
        Self::Shared,
        Self::Loaded,
        Self::Copied,
        Self::Before,
        Self::Committed,
        Self::Bridged,
        Self::Carried,
        Self::Begun,
        Self::CarriedAgain,
        Self::Swapped,
        Self::Cleared,
        Self::Removed,
    ];
}

/// Is told each step as it is done; its error ends the transition there.
pub type After<'a> = &'a mut dyn FnMut(Step) -> Result<(), KernelError>;
