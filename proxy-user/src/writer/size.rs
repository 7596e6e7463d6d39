//! The sizes that Shunt chooses, each of one map or of several that go together.

use super::Capacities;

/// One number of [`Capacities`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Size {
    /// FRONTENDS4 and FRONTENDS6.
    Frontends,
    /// SERVICES and STATS.
    Services,
    /// SLOTS.
    Slots,
    /// BACKENDS.
    Backends,
    /// NAMES.
    NameCells,
    /// SOURCE_RANGES and NETWORKS.
    Prefixes,
    /// UDP_FLOWS and REVERSE.
    Sockets,
    /// AFFINITY.
    Affinities,
    /// FLOWS.
    Flows,
}

impl Size {
    /// Those of the maps that the agent writes: what finds no room there is left out.
    pub const WRITTEN: [Self; 6] =
        [Self::Frontends, Self::Services, Self::Slots, Self::Backends, Self::NameCells, Self::Prefixes];

    /// Those of the maps that programs write, where the least recently used entry makes room.
    pub const REMEMBERED: [Self; 3] = [Self::Sockets, Self::Affinities, Self::Flows];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::WRITTEN.into_iter().chain(Self::REMEMBERED)
    }

    /// The one that decides how many entries a map has; `None` for a map whose size is the object's.
    #[must_use]
    pub fn of_map(name: &str) -> Option<Self> {
        Some(match name {
            "FRONTENDS4" | "FRONTENDS6" => Self::Frontends,
            "SERVICES" | "STATS" => Self::Services,
            "SLOTS" => Self::Slots,
            "BACKENDS" => Self::Backends,
            "NAMES" => Self::NameCells,
            "SOURCE_RANGES" | "NETWORKS" => Self::Prefixes,
            "UDP_FLOWS" | "REVERSE" => Self::Sockets,
            "AFFINITY" => Self::Affinities,
            "FLOWS" => Self::Flows,
            _ => return None,
        })
    }

    /// A name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frontends => "frontends",
            Self::Services => "service ports",
            Self::Slots => "slots",
            Self::Backends => "endpoints",
            Self::NameCells => "cells of names",
            Self::Prefixes => "prefixes",
            Self::Sockets => "sockets",
            Self::Affinities => "affinities",
            Self::Flows => "entries of flows",
        }
    }

    /// Most entries that a map of this size may have.
    #[must_use]
    pub const fn most(self) -> u32 {
        match self {
            Self::Services => 1 << 22,
            Self::Slots | Self::NameCells => 1 << 25,
            _ => 1 << 24,
        }
    }

    /// The size of the next map for `entries`: a power of two. Buckets of hash maps and the ranges of arrays are
    /// powers of two anyway, and growths stay few.
    #[must_use]
    pub fn rounded(self, entries: u32) -> u32 {
        entries.checked_next_power_of_two().unwrap_or(u32::MAX).min(self.most())
    }

    /// `entries`, or less where the map must have a power of two of them.
    #[must_use]
    pub fn allowed(self, entries: u32) -> u32 {
        match self {
            Self::Slots | Self::NameCells if entries > 0 => 1 << entries.ilog2(),
            _ => entries,
        }
    }
}

impl Capacities {
    /// The number that `size` names.
    #[must_use]
    pub const fn get(&self, size: Size) -> u32 {
        match size {
            Size::Frontends => self.frontends,
            Size::Services => self.services,
            Size::Slots => self.slots,
            Size::Backends => self.backends,
            Size::NameCells => self.name_cells,
            Size::Prefixes => self.prefixes,
            Size::Sockets => self.sockets,
            Size::Affinities => self.affinities,
            Size::Flows => self.flows,
        }
    }

    /// Sets the number that `size` names.
    pub const fn set(&mut self, size: Size, entries: u32) {
        *match size {
            Size::Frontends => &mut self.frontends,
            Size::Services => &mut self.services,
            Size::Slots => &mut self.slots,
            Size::Backends => &mut self.backends,
            Size::NameCells => &mut self.name_cells,
            Size::Prefixes => &mut self.prefixes,
            Size::Sockets => &mut self.sockets,
            Size::Affinities => &mut self.affinities,
            Size::Flows => &mut self.flows,
        } = entries;
    }

    /// Each size the larger of the two.
    #[must_use]
    pub fn max(mut self, other: &Self) -> Self {
        Size::all().for_each(|size| self.set(size, self.get(size).max(other.get(size))));
        self
    }
}
