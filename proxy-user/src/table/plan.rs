//! A plan: what a writer carries out, in this order.

use crate::writer::{FrontendKey, PrefixKey, Store};
use proxy_common::abi::FrontendValue;

/// Operations on the maps. The order is part of the meaning: stores make endpoint sets and policies true,
/// then vanished frontends go (which makes room), then source ranges change, new ones before old ones, and
/// new and changed frontends come last: nobody finds a service port whose ranges are not there yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Writes to mapped arrays; they cannot fail.
    pub stores: Vec<Store>,
    /// Frontends to remove.
    pub deletes: Vec<FrontendKey>,
    /// Prefixes to add, or to give another value.
    pub prefix_puts: Vec<(PrefixKey, u32)>,
    /// Prefixes to remove.
    pub prefix_deletes: Vec<PrefixKey>,
    /// Frontends to add or to point at another service port.
    pub puts: Vec<(FrontendKey, FrontendValue)>,
}

impl Plan {
    /// Empties the plan and keeps its memory for the next one.
    pub fn clear(&mut self) {
        self.stores.clear();
        self.deletes.clear();
        self.prefix_puts.clear();
        self.prefix_deletes.clear();
        self.puts.clear();
    }

    /// True if there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { stores, deletes, prefix_puts, prefix_deletes, puts } = self;
        stores.is_empty()
            && deletes.is_empty()
            && prefix_puts.is_empty()
            && prefix_deletes.is_empty()
            && puts.is_empty()
    }
}

/// How many leading system calls of each kind of a plan the kernel has carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Of [`Plan::deletes`].
    pub deletes: usize,
    /// Of [`Plan::prefix_puts`].
    pub prefix_puts: usize,
    /// Of [`Plan::prefix_deletes`].
    pub prefix_deletes: usize,
    /// Of [`Plan::puts`].
    pub puts: usize,
}
