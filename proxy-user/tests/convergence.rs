//! Whatever happens on the way, the maps end as if they had been built from scratch.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use proptest::prelude::*;
use shunt::{
    engine::{Engine, Rules},
    model::Event,
    table::Usage,
    writer::{Capacities, FaultyWriter, MemoryMaps},
};
use std::{cell::RefCell, rc::Rc};
use support::{NODE, Recorder, World, content, event};

/// Room for everything that the small world can hold, but not twice: freed entries are reused.
const SNUG: Capacities = Capacities {
    frontends: 96,
    services: 24,
    slots: 256,
    backends: 160,
    name_cells: 512,
    sockets: 16,
    affinities: 16,
    flows: 1_024,
    prefixes: 64,
};

fn engine() -> Engine<MemoryMaps> {
    Engine::new(NODE, Rules::default(), MemoryMaps::new(&SNUG)).unwrap()
}

fn from_scratch(world: &World) -> Engine<MemoryMaps> {
    let mut engine = engine();
    world.list().into_iter().for_each(|event| engine.apply(event));
    engine.sync().unwrap();
    engine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_order_of_events_ends_in_the_maps_built_from_scratch(
        events in prop::collection::vec((event(), 0..4_u8), 1..120),
    ) {
        let (mut engine, mut world) = (engine(), World::default());
        for (event, sync) in events {
            world.apply(&event);
            engine.apply(event);
            // Several events may wait for one sync.
            if sync == 0 {
                engine.sync().unwrap();
                prop_assert_eq!(content(engine.writer()), content(from_scratch(&world).writer()));
            }
        }
        engine.sync().unwrap();
        prop_assert_eq!(content(engine.writer()), content(from_scratch(&world).writer()));
        prop_assert!(engine.unplaced().is_empty());
    }

    #[test]
    fn deleting_everything_leaves_every_map_and_allocator_empty(
        events in prop::collection::vec((event(), any::<bool>()), 1..80),
    ) {
        let (mut engine, mut world) = (engine(), World::default());
        for (event, sync) in events {
            world.apply(&event);
            engine.apply(event);
            if sync {
                engine.sync().unwrap();
            }
        }
        world.deletions().into_iter().for_each(|event| engine.apply(event));
        engine.sync().unwrap();
        engine.settle().unwrap();
        prop_assert!(engine.writer().is_empty());
        prop_assert_eq!(engine.usage(), Usage::default());
        prop_assert!(engine.cluster().is_empty());
    }

    #[test]
    fn a_writer_that_fails_at_random_converges(
        events in prop::collection::vec(event(), 1..60),
        fates in prop::collection::vec(prop::option::of(0..4_usize), 1..80),
    ) {
        let fates = Rc::new(RefCell::new(fates));
        let fate = { let fates = Rc::clone(&fates); move || fates.borrow_mut().pop().flatten() };
        let writer = FaultyWriter { inner: MemoryMaps::new(&SNUG), fate };
        let (mut engine, mut world) = (Engine::new(NODE, Rules::default(), writer).unwrap(), World::default());
        for event in events {
            world.apply(&event);
            engine.apply(event);
            let _ = engine.sync();
        }
        let mut rounds = 0;
        while engine.is_pending() {
            let _ = engine.sync();
            rounds += 1;
            prop_assert!(rounds < 200, "does not converge");
        }
        fates.borrow_mut().clear();
        engine.sync().unwrap();
        prop_assert_eq!(content(&engine.writer().inner), content(from_scratch(&world).writer()));
    }

    #[test]
    fn an_agent_that_takes_over_writes_only_the_difference(
        before in prop::collection::vec(event(), 1..60),
        after in prop::collection::vec(event(), 0..4),
    ) {
        let (mut engine, mut world) = (engine(), World::default());
        for event in before {
            world.apply(&event);
            engine.apply(event);
            engine.sync().unwrap();
        }
        engine.settle().unwrap();
        let left = engine.writer().clone();

        let mut same = Engine::new(NODE, Rules::default(), left.clone()).unwrap();
        world.list().into_iter().for_each(|event| same.apply(event));
        let report = same.sync().unwrap();
        prop_assert_eq!((report.stores, report.puts, report.deletes), (0, 0, 0));
        prop_assert_eq!(same.usage().backends, engine.usage().backends);

        for event in &after {
            world.apply(event);
        }
        let mut changed = Engine::new(NODE, Rules::default(), left).unwrap();
        world.list().into_iter().for_each(|event| changed.apply(event));
        changed.sync().unwrap();
        prop_assert_eq!(content(changed.writer()), content(from_scratch(&world).writer()));
        world.deletions().into_iter().for_each(|event: Event| changed.apply(event));
        changed.sync().unwrap();
        changed.settle().unwrap();
        prop_assert!(content(changed.writer()).is_empty());
        prop_assert_eq!(changed.usage(), Usage::default());
    }

    #[test]
    fn an_agent_killed_between_any_two_writes_is_taken_over(
        before in prop::collection::vec(event(), 1..30),
        burst in prop::collection::vec(event(), 1..12),
        kill_at in any::<prop::sample::Index>(),
    ) {
        let recorder = Recorder::new(&SNUG);
        let history = recorder.history();
        let (mut engine, mut world) = (Engine::new(NODE, Rules::default(), recorder).unwrap(), World::default());
        for event in before {
            world.apply(&event);
            engine.apply(event);
            engine.sync().unwrap();
        }
        history.borrow_mut().clear();
        for event in burst {
            world.apply(&event);
            engine.apply(event);
            engine.sync().unwrap();
        }
        let states = history.borrow();
        if states.is_empty() {
            return Ok(());
        }
        let left = states[kill_at.index(states.len())].clone();
        let mut heir = Engine::new(NODE, Rules::default(), left).unwrap();
        world.list().into_iter().for_each(|event| heir.apply(event));
        heir.sync().unwrap();
        prop_assert_eq!(content(heir.writer()), content(from_scratch(&world).writer()));
        world.deletions().into_iter().for_each(|event| heir.apply(event));
        heir.sync().unwrap();
        heir.settle().unwrap();
        prop_assert_eq!(heir.usage(), Usage::default());
    }
}
