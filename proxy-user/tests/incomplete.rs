//! An agent that takes over while its source cannot read everything.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use shunt::{
    engine::{Engine, Rules},
    model::Family,
    writer::MemoryMaps,
};
use support::{
    NODE, offered,
    plain::{ROOMY, address, service, slice},
};

#[test]
fn an_heir_that_cannot_read_everything_leaves_what_it_may_not_have_read() {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&ROOMY)).unwrap();
    for number in [0, 1] {
        engine.apply(service(number, Family::V4, 80));
        engine.apply(slice(number, &[(1, false)]));
    }
    engine.sync().unwrap();
    let before = offered(engine.writer());

    // Of the first Service only the slice is unreadable, of the second all; a third one is new.
    let mut heir = Engine::new(NODE, Rules::default(), engine.writer().clone()).unwrap();
    heir.hold(true);
    for event in [service(0, Family::V4, 80), service(2, Family::V4, 80), slice(2, &[(2, false)])] {
        heir.apply(event);
    }
    heir.sync().unwrap();
    let mut during = offered(heir.writer());
    assert!(during.remove(&address(2, Family::V4, 80)).is_some());
    assert_eq!(during, before);
    assert!(!heir.is_pending());

    heir.hold(false);
    heir.sync().unwrap();
    let after = offered(heir.writer());
    assert_eq!(after.keys().collect::<Vec<_>>(), [&address(0, Family::V4, 80), &address(2, Family::V4, 80)]);
    assert!(after[&address(0, Family::V4, 80)].is_empty());
}
