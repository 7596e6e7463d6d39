//! How large the maps are at first, and how far they may grow.

use super::{
    Capacities, Size,
    footprint::{footprint, total},
};

/// What bounds the growth of maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes that maps together may take, but those of a size that an operator has chosen; while maps grow, those that
    /// they replace stand beside them.
    pub memory: u64,
    /// Possible CPUs of this machine, each of which has values of its own in some maps.
    pub cpus: u32,
    /// The sizes that an operator has chosen.
    pub fixed: Fixed,
}

/// Sizes that an operator has chosen: maps are made so, and never grow beyond.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fixed {
    /// [`Capacities::frontends`].
    pub frontends: Option<u32>,
    /// [`Capacities::services`], and room for as many names.
    pub services: Option<u32>,
    /// [`Capacities::backends`], and slots for as many endpoints.
    pub endpoints: Option<u32>,
    /// [`Capacities::sockets`].
    pub sockets: Option<u32>,
    /// [`Capacities::affinities`].
    pub affinities: Option<u32>,
    /// [`Capacities::flows`].
    pub flows: Option<u32>,
}

/// Of the machine's memory: what maps take at first, and what they may take.
const FIRST_SHARE: u64 = 256;
const LIMIT_SHARE: u64 = 32;

/// Below this no machine's limit is: maps of a small cluster fit.
const LIMIT_MIN: u64 = 32 << 20;

/// Of the limit, what the maps may grow to that programs write: whoever floods a node with connections fills those.
const REMEMBERED_SHARE: u64 = 2;

/// The sizes for 4 GiB; smaller and larger machines have powers of two of it.
const USUAL: Capacities = Capacities {
    frontends: 8_192,
    services: 4_096,
    slots: 32_768,
    backends: 16_384,
    name_cells: 32_768,
    sockets: 16_384,
    affinities: 8_192,
    flows: 32_768,
    prefixes: 2_048,
};

impl Limits {
    /// The limit for a machine with `memory` bytes: a thirty-second of it, 32 MiB at least.
    #[must_use]
    pub const fn memory_of(memory: u64) -> u64 {
        let share = memory / LIMIT_SHARE;
        if share > LIMIT_MIN { share } else { LIMIT_MIN }
    }

    /// The sizes at first on a machine with `memory` bytes: all maps together take a 256th of it at most, and at most
    /// what these limits allow. The least of them hold 512 service ports and 2,048 endpoints, whatever that takes; so do
    /// sizes that an operator has chosen, and nothing else is smaller or larger for them.
    #[must_use]
    pub fn first(&self, memory: u64) -> Capacities {
        let budget = (memory / FIRST_SHARE).min(self.memory);
        // From twice the usual down to an eighth.
        let sizes = (0..5).map(|halvings| scaled(&USUAL, halvings));
        let smallest = scaled(&USUAL, 4);
        let mut first = sizes.into_iter().find(|sizes| total(sizes, self.cpus) <= budget).unwrap_or(smallest);
        for size in Size::all() {
            first.set(size, self.fixed.get(size).unwrap_or_else(|| first.get(size)));
        }
        first
    }

    /// Bytes that all maps together may take: the limit, and beside it what was chosen.
    #[must_use]
    pub fn together(&self) -> u64 {
        self.memory.saturating_add(self.chosen())
    }

    /// Bytes of the maps whose sizes an operator has chosen.
    #[must_use]
    pub fn chosen(&self) -> u64 {
        let mut sizes = USUAL;
        for size in Size::all() {
            sizes.set(size, self.fixed.get(size).unwrap_or_else(|| sizes.get(size)));
        }
        self.sum(&sizes, |size| self.is_chosen(size))
    }

    /// The sizes that `now` may grow to on the way to `wanted`: those, or as much of the way as fits into the limit. What
    /// an operator has chosen is reached at once, and the limit has no say in it. `None` where that is hardly any.
    #[must_use]
    pub fn within(&self, now: &Capacities, wanted: &Capacities) -> Option<Capacities> {
        self.part_of_the_way(now, wanted, |sizes| self.bounded(sizes) <= self.memory)
    }

    /// The same for maps that programs write: they take half of the limit at most.
    #[must_use]
    pub fn within_share(&self, now: &Capacities, wanted: &Capacities) -> Option<Capacities> {
        let share = self.memory / REMEMBERED_SHARE;
        let is_of_them = |size| Size::REMEMBERED.contains(&size) && !self.is_chosen(size);
        let fits =
            |sizes: &Capacities| self.bounded(sizes) <= self.memory && self.sum(sizes, is_of_them) <= share;
        self.part_of_the_way(now, wanted, fits)
    }

    fn part_of_the_way(
        &self,
        now: &Capacities,
        wanted: &Capacities,
        fits: impl Fn(&Capacities) -> bool,
    ) -> Option<Capacities> {
        let at = |step: u64| {
            let mut sizes = *now;
            for size in Size::all() {
                let (from, to) = (u64::from(now.get(size)), u64::from(wanted.get(size)));
                let part = from + to.saturating_sub(from) * step / STEPS;
                let entries = if self.is_chosen(size) { wanted.get(size) } else { size.allowed(part as u32) };
                sizes.set(size, entries.max(now.get(size)));
            }
            sizes
        };
        let gains = |sizes: &Capacities, size: Size| {
            let (from, to) = (now.get(size), sizes.get(size));
            to > from && (to - from >= from / GAIN || to == wanted.get(size))
        };
        let is_worth_it = |sizes: &Capacities| {
            Size::all().filter(|size| !self.is_chosen(*size)).any(|size| gains(sizes, size))
        };
        let furthest = (1..=STEPS).rev().map(at).find(fits).filter(is_worth_it);
        furthest.or_else(|| Some(at(0)).filter(|chosen| chosen != now))
    }

    /// Bytes of all maps that the limit bounds, those included that are always of one size.
    fn bounded(&self, sizes: &Capacities) -> u64 {
        total(sizes, self.cpus) - self.sum(sizes, |size| self.is_chosen(size))
    }

    /// Bytes of the maps whose size is one of these.
    fn sum(&self, sizes: &Capacities, of: impl Fn(Size) -> bool) -> u64 {
        let maps = footprint(sizes, self.cpus).into_iter();
        maps.filter(|(map, _)| Size::of_map(map).is_some_and(&of)).map(|(_, bytes)| bytes).sum()
    }

    fn is_chosen(&self, size: Size) -> bool {
        self.fixed.get(size).is_some()
    }
}

impl Fixed {
    /// The number of entries that an operator has chosen for a size, if so.
    #[must_use]
    pub fn get(&self, size: Size) -> Option<u32> {
        match size {
            Size::Frontends => self.frontends,
            Size::Services => self.services,
            // A set takes the next power of two of its endpoints.
            Size::Slots => self.endpoints.map(|endpoints| size.rounded(endpoints.saturating_mul(2))),
            Size::Backends => self.endpoints,
            // A name takes at most eight cells in most clusters, and this node's has its own.
            Size::NameCells => {
                self.services.map(|services| size.rounded(services.saturating_mul(8)).max(128))
            }
            Size::Sockets => self.sockets,
            Size::Affinities => self.affinities,
            Size::Flows => self.flows,
            Size::Prefixes => None,
        }
    }
}

/// Twice these sizes, halved so many times.
fn scaled(sizes: &Capacities, halvings: u32) -> Capacities {
    let mut scaled = *sizes;
    Size::all().for_each(|size| scaled.set(size, (sizes.get(size) * 2) >> halvings));
    scaled
}

/// Steps in which a part of the way is looked for, and how much of itself a map must gain for a growth to be worth it.
const STEPS: u64 = 64;
const GAIN: u32 = 8;

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
