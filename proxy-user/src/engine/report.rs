//! What a sync did, and what it could not do.

use super::{Growth, HealthReport};
use crate::{model::PortId, table::Full, writer::Fixed};

/// Counts of one [`super::Engine::sync`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SyncReport {
    /// Services that were looked at.
    pub services: usize,
    /// Writes to mapped arrays.
    pub stores: usize,
    /// Frontends added or changed.
    pub puts: usize,
    /// Frontends removed.
    pub deletes: usize,
    /// Source ranges and networks added, changed or removed.
    pub prefixes: usize,
    /// Grace periods waited for.
    pub grace_periods: usize,
    /// Service ports that did not fit and did not wait before.
    pub newly_unplaced: Vec<Unplaced>,
    /// A map that has no room for what is to be said of this node, unless the last sync said so already.
    pub node_unplaced: Option<Full>,
    /// Service ports that had waited for room and are programmed now.
    pub newly_placed: Vec<PortId>,
    /// Maps that were made larger since the last report.
    pub growths: Vec<Growth>,
    /// Why maps could not be made larger, told once for each try.
    pub growth_failed: Option<String>,
    /// The sizes that an operator has chosen; the others grow up to a limit of memory. `None` where none grows.
    pub fixed: Option<Fixed>,
    /// What load balancers that ask are to be answered from now on.
    pub health: HealthReport,
}

impl SyncReport {
    /// Writes to maps, of whatever kind.
    #[must_use]
    pub const fn writes(&self) -> usize {
        self.stores + self.puts + self.deletes + self.prefixes
    }
}

/// A service port that does not fit, wholly or in part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, thiserror::Error)]
#[error("service port {port} does not fit: {full}")]
pub struct Unplaced {
    /// The service port.
    pub port: PortId,
    /// The map that is full.
    pub full: Full,
}
