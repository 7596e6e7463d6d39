//! Tests of the sizes at first and of the limit.

use super::*;
use crate::writer::footprint;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

const fn limits(memory: u64, cpus: u32) -> Limits {
    let fixed = Fixed {
        frontends: None,
        services: None,
        endpoints: None,
        sockets: None,
        affinities: None,
        flows: None,
    };
    Limits { memory: Limits::memory_of(memory), cpus, fixed }
}

fn first(memory: u64, cpus: u32) -> Capacities {
    limits(memory, cpus).first(memory)
}

/// docs/configuration.md shows these numbers.
#[test]
fn a_node_with_4_gib_and_4_cpus_begins_with_16_mib_at_most() {
    let sizes = first(4 * GIB, 4);
    assert_eq!(sizes, USUAL);
    let each: Vec<_> =
        footprint(&sizes, 4).into_iter().map(|(map, bytes)| (map, bytes.div_ceil(1024))).collect();
    assert_eq!(
        each,
        [
            ("FRONTENDS4", 642),
            ("FRONTENDS6", 770),
            ("SERVICES", 132),
            ("SLOTS", 260),
            ("BACKENDS", 516),
            ("NAMES", 260),
            ("UDP_FLOWS", 1_665),
            ("REVERSE", 2_049),
            ("AFFINITY", 833),
            ("SOURCE_RANGES", 128),
            ("NETWORKS", 120),
            ("FLOWS", 5_377),
            ("STATS", 417),
        ]
    );
    assert_eq!(total(&sizes, 4) / 1024, 13_942);
    assert!(total(&sizes, 4) <= 16 * MIB);
}

#[test]
fn what_maps_take_at_first_follows_the_machine() {
    let mut before = 0;
    for (memory, cpus) in [(GIB / 2, 1), (GIB, 2), (2 * GIB, 2), (4 * GIB, 4), (8 * GIB, 4), (64 * GIB, 32)] {
        let bytes = total(&first(memory, cpus), cpus);
        assert!(bytes <= memory / 256 || memory < GIB, "{memory}: {bytes}");
        assert!(bytes >= before, "{memory}: {bytes} < {before}");
        before = bytes;
    }
    // Very many CPUs have values of their own in STATS: their maps have fewer entries.
    assert!(total(&first(4 * GIB, 256), 256) <= 16 * MIB);
    assert!(first(4 * GIB, 256).services < USUAL.services);
    // A limit of memory holds from the start, as far as maps can be so small.
    let tight = Limits { memory: 5 * MIB, ..limits(64 * GIB, 4) };
    assert!(total(&tight.first(64 * GIB), 4) <= 5 * MIB);
    assert_eq!(Limits { memory: 1, ..tight }.first(64 * GIB).services, 512);
}

#[test]
fn a_chosen_size_is_made_as_it_is() {
    let fixed = Fixed { endpoints: Some(100), services: Some(3), flows: Some(16), ..Fixed::default() };
    let limits = Limits { fixed, ..limits(4 * GIB, 4) };
    let sizes = limits.first(4 * GIB);
    assert_eq!((sizes.backends, sizes.slots), (100, 256));
    assert_eq!((sizes.services, sizes.name_cells), (3, 128));
    assert_eq!((sizes.flows, sizes.sockets), (16, USUAL.sockets));
}

#[test]
fn growth_goes_as_far_as_the_limit() {
    let limits = limits(4 * GIB, 4);
    let twice = scaled(&USUAL, 0);
    assert_eq!(limits.within(&USUAL, &twice), Some(twice));
    assert_eq!(limits.within(&twice, &USUAL), None, "no map shrinks");
    let tight = Limits { memory: total(&USUAL, 4) + MIB, ..limits };
    let wanted = Capacities { backends: 1 << 20, slots: 1 << 21, ..USUAL };
    let part = tight.within(&USUAL, &wanted).unwrap();
    assert!(part.backends > USUAL.backends && total(&part, 4) <= tight.memory, "{part:?}");
    assert!(part.slots.is_power_of_two());
    let rest = Limits { memory: total(&USUAL, 4) + 1_000, ..limits };
    assert_eq!(rest.within(&USUAL, &wanted), None);
    assert_eq!(Limits { memory: 0, ..limits }.within(&USUAL, &wanted), None);
}

#[test]
fn a_flood_takes_half_of_the_limit_at_most() {
    let limits = limits(4 * GIB, 4);
    let mut sizes = USUAL;
    let mut growths = 0;
    loop {
        let wanted = Capacities {
            flows: Size::Flows.rounded(sizes.flows * 2),
            sockets: Size::Sockets.rounded(sizes.sockets * 2),
            ..sizes
        };
        let Some(next) = limits.within_share(&sizes, &wanted) else { break };
        assert!(remembered(&next, 4) <= limits.memory / 2);
        (sizes, growths) = (next, growths + 1);
    }
    assert!((2..20).contains(&growths), "{growths}");
    assert!(remembered(&sizes, 4) > limits.memory / 3, "and no map grows by a little");
    assert!(
        limits.within(&sizes, &Capacities { services: 65_536, ..sizes }).is_some(),
        "services have their half"
    );
}
