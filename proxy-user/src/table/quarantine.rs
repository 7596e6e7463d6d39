//! What was freed and waits for a grace period before it is reused.

use super::buddy::Block;

/// Freed entries that a running program may still see.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    pub backends: Vec<u32>,
    pub services: Vec<u32>,
    pub slots: Vec<Block>,
    pub names: Vec<Block>,
}

impl Quarantine {
    /// True if a grace period would free nothing.
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty() && self.services.is_empty() && self.slots.is_empty() && self.names.is_empty()
    }
}
