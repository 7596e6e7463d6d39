//! One version takes over from another one.

use crate::{
    held::Held,
    pinned::{links, memories, own_version, versions},
    stage::{Stage, other_layout, own_layout},
};

#[test]
fn connections_flows_and_affinities_go_up_down_and_up_again() {
    let Some(other) = other_layout() else { return };
    let Some(mut stage) = Stage::new() else { return };
    stage.start(&own_layout());
    let mut held = Held::open(&stage);
    let before = links(&stage, &own_version());
    for (program, when) in
        [(&other, "up"), (&own_layout(), "down"), (&other, "up again"), (&own_layout(), "down again")]
    {
        // The last two as after a crash.
        if when.contains("again") {
            stage.kill();
        } else {
            stage.stop();
        }
        held.check(&format!("{when}, without an agent"));
        stage.start(program);
        held.check(when);
        let is_own = *program == own_layout();
        let version = versions(&stage);
        assert_eq!((version.len(), version.contains(&own_version())), (1, is_own), "{when}: {version:?}");
        // Each program is replaced in its link: at no time was there none.
        let now = links(&stage, version.first().unwrap());
        let changed =
            before.iter().filter(|(name, (link, _))| now.get(*name).map(|now| now.0) != Some(*link));
        assert_eq!(changed.count(), 0, "{when}: {before:?} {now:?}");
    }
}

#[test]
fn what_is_silent_is_carried_as_it_was() {
    let Some(other) = other_layout() else { return };
    let Some(mut stage) = Stage::new() else { return };
    stage.start(&own_layout());
    let mut held = Held::open(&stage);
    stage.stop();
    let before = memories(&stage);
    assert!(before.values().all(|entries| !entries.is_empty()), "{before:?}");
    stage.start(&other);
    stage.stop();
    assert_ne!(memories(&stage), before, "the layout is another one");
    stage.start(&own_layout());
    stage.stop();
    let after = memories(&stage);
    for (name, entries) in &before {
        let after = &after[name];
        let lost: Vec<_> = entries.iter().filter(|(key, value)| after.get(*key) != Some(*value)).collect();
        assert!(lost.is_empty(), "{name}: {} of {} entries are not as they were", lost.len(), entries.len());
        assert_eq!(after.len(), entries.len(), "{name} has more than it had");
    }
    held.check("after all");
}

#[test]
fn programs_alone_are_replaced_in_their_links() {
    let Some(mut stage) = Stage::new() else { return };
    stage.start(&own_layout());
    let mut held = Held::open(&stage);
    let (before, maps) = (links(&stage, &own_version()), crate::pinned::maps(&stage));
    for how in ["stopped", "killed"] {
        if how == "killed" {
            stage.kill();
        } else {
            stage.stop();
        }
        held.check(&format!("{how}, without an agent"));
        stage.start(&own_layout());
        held.check(how);
        let now = links(&stage, &own_version());
        assert_eq!(now.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        for (name, (link, program)) in &before {
            assert!(now[name].0 == *link && now[name].1 != *program, "{name}: {before:?} {now:?}");
        }
        assert_eq!(crate::pinned::maps(&stage), maps, "the maps are the same");
    }
}
