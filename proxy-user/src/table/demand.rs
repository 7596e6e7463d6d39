//! How much room of each map something takes, whether it is there or to come.

use super::{
    PortSpec, Table,
    buddy::{Block, order_for},
    upsert::{name_block_order, name_of},
};
use crate::writer::{FrontendKey, NODE_CELLS, Size};

/// Entries, of each map that the agent writes. Those of one [`Size`] count as the fuller of its maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Demand {
    frontends: [u64; 2],
    services: u64,
    slots: u64,
    backends: u64,
    name_cells: u64,
    source_ranges: u64,
    networks: u64,
}

impl Demand {
    /// Adds a service port with so many endpoints, of which `local` are on this node; those of its specification
    /// do not count.
    pub fn add_port(&mut self, spec: &PortSpec<'_>, endpoints: u32, local: u32) {
        let slots = |count: u32| if count == 0 { 0 } else { 1 << order_for(count) };
        self.services += 1;
        self.backends += u64::from(endpoints);
        self.slots += slots(endpoints) + slots(local);
        self.name_cells += 1 << name_block_order(&name_of(spec.id));
        self.source_ranges += spec.source_ranges.len() as u64;
        for frontend in spec.frontends {
            self.frontends[usize::from(matches!(frontend.key, FrontendKey::V6(_)))] += 1;
        }
    }

    /// Entries of a size; none of maps that programs write.
    pub fn of(&self, size: Size) -> u32 {
        let entries = match size {
            Size::Frontends => self.frontends[0].max(self.frontends[1]),
            Size::Services => self.services,
            Size::Slots => self.slots,
            Size::Backends => self.backends,
            Size::NameCells => self.name_cells + u64::from(NODE_CELLS),
            Size::Prefixes => self.source_ranges.max(self.networks),
            Size::Sockets | Size::Affinities | Size::Flows => 0,
        };
        u32::try_from(entries).unwrap_or(u32::MAX)
    }

    /// Both together.
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, |one, other| one + other)
    }

    /// Of each map the larger.
    pub fn max(&self, other: &Self) -> Self {
        self.with(other, u64::max)
    }

    fn with(&self, other: &Self, both: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            frontends: [0, 1].map(|family| both(self.frontends[family], other.frontends[family])),
            services: both(self.services, other.services),
            slots: both(self.slots, other.slots),
            backends: both(self.backends, other.backends),
            name_cells: both(self.name_cells, other.name_cells),
            source_ranges: both(self.source_ranges, other.source_ranges),
            networks: both(self.networks, other.networks),
        }
    }
}

impl Table {
    /// What is in use. What waits for a grace period is not: a grace period is cheaper than a larger map.
    pub(crate) fn demand(&self) -> Demand {
        let (usage, freed) = (self.usage(), &self.stock.quarantine);
        let cells = |blocks: &[Block]| blocks.iter().map(|block| u64::from(block.len())).sum::<u64>();
        let beside = |used: u32, freed: u64| u64::from(used).saturating_sub(freed);
        Demand {
            frontends: [usage.frontends4, usage.frontends6].map(u64::from),
            services: beside(usage.services, freed.services.len() as u64),
            slots: beside(usage.slots, cells(&freed.slots)),
            backends: beside(usage.backends, freed.backends.len() as u64),
            name_cells: beside(usage.name_cells, cells(&freed.names)),
            source_ranges: usage.source_ranges.into(),
            networks: usage.networks.into(),
        }
    }
}
