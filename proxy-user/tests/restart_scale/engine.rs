//! The engine over maps in memory that a former engine left: what it writes.

use crate::{
    changes::{CHANGES, removed},
    cluster::{Cluster, Random},
    counted::{Counted, Writes},
    objects::{NODE, of},
    size,
};
use shunt::{
    engine::{Engine, Rules},
    model::{Event, ObjectName},
    source::kubernetes::ObjectId,
    writer::{Capacities, MemoryMaps},
};
use std::collections::BTreeMap;

fn engine(maps: MemoryMaps) -> Engine<Counted> {
    Engine::new(NODE, Rules::default(), Counted::new(maps)).unwrap()
}

/// The maps that an agent leaves which was told of this cluster.
fn filled(cluster: &Cluster) -> MemoryMaps {
    let capacities = Capacities {
        frontends: 65_536,
        services: 32_768,
        slots: 1 << 20,
        backends: 1 << 19,
        name_cells: 1 << 19,
        ..Capacities::default()
    };
    let mut engine = engine(MemoryMaps::new(&capacities));
    cluster.events().for_each(|event| engine.apply(event));
    let report = engine.sync().unwrap();
    assert_eq!((report.services, engine.unplaced().len()), (size().services as usize, 0));
    engine.settle().unwrap();
    engine.writer().maps.clone()
}

/// What an agent writes that starts over these maps and is told of this cluster, also later at leisure.
fn restarted(maps: &MemoryMaps, cluster: &Cluster) -> (Writes, Writes) {
    let mut engine = engine(maps.clone());
    cluster.events().for_each(|event| engine.apply(event));
    let report = engine.sync().unwrap();
    let writes = engine.writer().take();
    let told = Writes {
        stores: report.stores,
        puts: report.puts,
        deletes: report.deletes,
        prefixes: report.prefixes,
    };
    assert_eq!(told, writes, "the engine's own count");
    engine.settle().unwrap();
    assert!(!engine.is_pending());
    (writes, engine.writer().take())
}

#[test]
fn a_restart_without_changes_writes_nothing_however_the_cluster_is_told() {
    let cluster = Cluster::new(size());
    let maps = filled(&cluster);
    let random = &mut Random(1);
    let ways = [
        ("as before", cluster.clone()),
        ("in another order", cluster.shuffled(random)),
        ("at other versions", cluster.at_versions(1_000)),
        ("in other slices", cluster.resharded(random)),
        ("all of it", cluster.resharded(random).shuffled(random).at_versions(7)),
    ];
    for (way, told) in ways {
        assert_eq!(restarted(&maps, &told), (Writes::NONE, Writes::NONE), "{way}");
    }
}

#[test]
fn a_restart_with_ten_changes_writes_what_the_ten_need() {
    let cluster = Cluster::new(size());
    let maps = filled(&cluster);
    let need = Writes::sum(CHANGES.iter().map(|change| change.needs));
    let mut changed = cluster.clone();
    CHANGES.iter().for_each(|change| (change.make)(&mut changed));
    assert_eq!(restarted(&maps, &changed.shuffled(&mut Random(2))).0, need);

    // An agent that has run all the time: each change alone, and all objects told again, most of them as they were.
    let mut live = engine(maps);
    cluster.events().for_each(|event| live.apply(event));
    live.sync().unwrap();
    assert_eq!(live.writer().take(), Writes::NONE);
    let mut known = objects(&cluster);
    let mut now = cluster;
    for change in &CHANGES {
        (change.make)(&mut now);
        let next = objects(&now);
        for (id, event) in &next {
            if known.get(id) != Some(event) {
                live.apply(event.clone());
            }
        }
        known.keys().filter(|id| !next.contains_key(id)).for_each(|id| live.apply(deleted(id)));
        live.sync().unwrap();
        assert_eq!(live.writer().take(), change.needs, "{}", change.what);
        known = next;
    }
    assert!(!known.contains_key(&ObjectId::Service(ObjectName::new("shop", removed()))));
}

/// What a source makes of a cluster, by object.
fn objects(cluster: &Cluster) -> BTreeMap<ObjectId, Event> {
    cluster.events().map(|event| (of(event.clone()).0, event)).collect()
}

fn deleted(id: &ObjectId) -> Event {
    match id {
        ObjectId::Service(name) => Event::ServiceDeleted(name.clone()),
        ObjectId::EndpointSlice(name) => Event::SliceDeleted(name.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn endpoints_that_move_to_other_slices_under_way_write_nothing() {
    let cluster = Cluster::new(size());
    let mut live = engine(filled(&cluster));
    cluster.events().for_each(|event| live.apply(event));
    live.sync().unwrap();
    live.writer().take();
    let (before, after) = (objects(&cluster), objects(&cluster.resharded(&mut Random(3))));
    // First the new ones come, as the EndpointSlice controller has it, then the old ones go.
    for (id, event) in &after {
        if before.get(id) != Some(event) {
            live.apply(event.clone());
        }
    }
    live.sync().unwrap();
    assert_eq!(live.writer().take(), Writes::NONE, "endpoints that two slices list");
    before.keys().filter(|id| !after.contains_key(id)).for_each(|id| live.apply(deleted(id)));
    live.sync().unwrap();
    assert_eq!(live.writer().take(), Writes::NONE, "and one again");
}
