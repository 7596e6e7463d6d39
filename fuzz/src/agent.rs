//! An engine over maps in memory, the objects that it was told of, and what must hold of the two.

use super::{
    rules::{self, NODE, World},
    sound,
};
use shunt::{
    engine::{Engine, Rules, SyncReport},
    model::{Event, Family},
    table::Usage,
    view::{PortView, decode},
    writer::{Capacities, MapReader as _, MemoryMaps},
};
use std::collections::BTreeSet;

/// Maps that no input of some kilobytes fills by what it says once. Small, for every run reads them
/// whole, more than once.
pub fn ample() -> Capacities {
    let rest = Capacities::default();
    Capacities { frontends: 512, services: 256, slots: 1_024, backends: 512, name_cells: 2_048, ..rest }
}

/// Maps that a few objects fill.
pub fn tiny() -> Capacities {
    let rest = Capacities::default();
    Capacities { frontends: 24, services: 12, slots: 64, backends: 32, name_cells: 256, prefixes: 8, ..rest }
}

/// An engine that has programmed the sound Service before anything else.
pub struct Agent {
    engine: Engine<MemoryMaps>,
    world: World,
    /// Something did not fit; it may still be waiting.
    cramped: bool,
    /// An engine ended before it had given back what it freed.
    killed: bool,
}

impl Agent {
    /// Starts with `events`, which hold the sound objects.
    pub fn start(capacities: &Capacities, events: Vec<Event>) -> Self {
        let mut agent = Self::told(capacities, events);
        agent.sync();
        agent
    }

    fn told(capacities: &Capacities, events: Vec<Event>) -> Self {
        let engine = engine(MemoryMaps::new(capacities));
        let mut agent = Self { engine, world: World::default(), cramped: false, killed: false };
        events.into_iter().for_each(|event| agent.apply(event));
        agent
    }

    pub fn apply(&mut self, event: Event) {
        self.world.apply(&event);
        self.engine.apply(event);
    }

    pub const fn world(&self) -> &World {
        &self.world
    }

    /// Programs what changed. The sound Service is served; and where there is room, the maps are what the
    /// rules make of the objects, and nothing is left to do.
    pub fn sync(&mut self) {
        self.program();
        sound::assert_programmed(self.engine.writer());
    }

    fn program(&mut self) {
        let report = self.engine.sync().unwrap();
        assert!(!self.engine.is_pending());
        self.cramped |= report.node_unplaced.is_some();
        assert_sane(self.engine.writer());
        if self.has_room() {
            rules::assert_kept(&self.engine, &self.world);
            assert_silent(&mut self.engine, "a second sync without a change");
        }
    }

    fn has_room(&self) -> bool {
        !self.cramped && self.engine.unplaced().is_empty()
    }

    /// The agent ends, or is killed before the grace period in which it gives back what it freed, and
    /// another one starts over its maps, with what it knew.
    pub fn restart(&mut self, killed: bool) {
        if !killed {
            self.engine.settle().unwrap();
        }
        self.killed |= killed;
        self.engine = engine(self.engine.writer().clone());
        self.world.list().into_iter().for_each(|event| self.engine.apply(event));
    }

    /// What the maps hold, without indices.
    pub fn content(&self) -> Vec<PortView> {
        let mut ports = decode(self.engine.writer()).unwrap();
        ports.iter_mut().for_each(|port| port.index = 0);
        ports
    }

    /// Whatever came before, the maps are those of a first list of the same objects; and an agent that
    /// starts over them and is told the same writes nothing.
    pub fn assert_history_leaves_no_trace(&mut self) {
        if !self.has_room() {
            return;
        }
        let mut fresh = Self::told(&self.engine.writer().capacities(), self.world.list());
        fresh.sync();
        assert!(fresh.has_room());
        assert_eq!(self.content(), fresh.content(), "against a fresh start");
        assert_eq!(self.engine.conflicts(), fresh.engine.conflicts(), "against a fresh start");

        self.engine.settle().unwrap();
        let mut heir = engine(self.engine.writer().clone());
        self.world.list().into_iter().for_each(|event| heir.apply(event));
        assert_silent(&mut heir, "a restart");
        assert_eq!(self.engine.conflicts(), heir.conflicts(), "after a restart");
    }

    /// Once everything is deleted, nothing is left.
    pub fn end(mut self, deletions: Vec<Event>) {
        deletions.into_iter().for_each(|event| self.apply(event));
        self.program();
        self.engine.settle().unwrap();
        assert_eq!(self.content(), []);
        // What was freed and not given back may stay where no set leads.
        assert!(self.killed || self.engine.writer().is_empty(), "entries are left behind");
        assert_eq!(self.engine.usage(), Usage::default());
        assert!(self.engine.cluster().is_empty() && self.engine.unplaced().is_empty());
        assert_eq!(self.engine.conflicts(), []);
    }
}

fn engine(maps: MemoryMaps) -> Engine<MemoryMaps> {
    Engine::new(NODE, Rules::default(), maps).unwrap()
}

fn assert_silent(engine: &mut Engine<MemoryMaps>, when: &str) {
    let SyncReport { stores, puts, deletes, prefixes, .. } = engine.sync().unwrap();
    assert_eq!([stores, puts, deletes, prefixes], [0; 4], "stores, puts, deletes, prefixes of {when}");
}

/// Every entry decodes, names its service port, and keeps to its family.
fn assert_sane(maps: &MemoryMaps) {
    let mut seen = BTreeSet::new();
    for port in decode(maps).unwrap() {
        let id = port.id.as_ref().unwrap_or_else(|| panic!("a service port without a name: {port:?}"));
        assert!(seen.insert(id.clone()), "{id} is there twice");
        let endpoints: Vec<_> = port.cluster.iter().chain(&port.local).collect();
        let addresses = port.frontends.iter().filter_map(|frontend| frontend.address);
        for address in addresses.chain(endpoints.iter().map(|endpoint| endpoint.ip())) {
            assert_eq!(Family::of(&address), id.family, "{address} of {id}");
        }
        assert!(endpoints.iter().all(|endpoint| endpoint.port() != 0), "{port:?}");
    }
}
