//! A plan: what a writer carries out, in this order.

use crate::writer::{FrontendKey, Store};
use proxy_common::abi::FrontendValue;

/// Operations on the maps. The order is part of the meaning: stores make endpoint sets true, then
/// vanished frontends go (which makes room), then new and changed ones come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Writes to mapped arrays; they cannot fail.
    pub stores: Vec<Store>,
    /// Frontends to remove.
    pub deletes: Vec<FrontendKey>,
    /// Frontends to add or to point at another service port.
    pub puts: Vec<(FrontendKey, FrontendValue)>,
}

impl Plan {
    /// Empties the plan and keeps its memory for the next one.
    pub fn clear(&mut self) {
        self.stores.clear();
        self.deletes.clear();
        self.puts.clear();
    }

    /// True if there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stores.is_empty() && self.deletes.is_empty() && self.puts.is_empty()
    }
}
