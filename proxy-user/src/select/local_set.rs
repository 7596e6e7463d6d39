//! What local-policy traffic may reach.

use super::UsableEndpoint;

/// The rule that decides who is in the local set. It never falls back to endpoints of other nodes, and
/// topology hints never touch it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LocalSet {
    /// The ready endpoints of this node.
    Ready,
    /// None of them is ready: those that serve while they terminate (KEP-1669).
    Terminating,
}

impl LocalSet {
    /// Decides by the usable endpoints.
    #[must_use]
    pub fn of(usable: &[UsableEndpoint]) -> Self {
        if usable.iter().any(|endpoint| endpoint.local && endpoint.ready) {
            Self::Ready
        } else {
            Self::Terminating
        }
    }

    /// Whether a usable endpoint is in the set.
    #[must_use]
    pub fn has(self, endpoint: &UsableEndpoint) -> bool {
        endpoint.local && endpoint.ready == (self == Self::Ready)
    }
}
