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

fn remembered(limits: &Limits, sizes: &Capacities) -> u64 {
    limits.sum(sizes, |size| Size::REMEMBERED.contains(&size))
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
        assert!(remembered(&limits, &next) <= limits.memory / 2);
        (sizes, growths) = (next, growths + 1);
    }
    assert!((2..20).contains(&growths), "{growths}");
    assert!(remembered(&limits, &sizes) > limits.memory / 3, "and no map grows by a little");
    assert!(
        limits.within(&sizes, &Capacities { services: 65_536, ..sizes }).is_some(),
        "services have their half"
    );
}

/// docs/design.md shows these numbers: what closed sockets leave behind may fill so much.
#[test]
fn sockets_alone_fill_the_share() {
    let limits = limits(4 * GIB, 4);
    let mut sizes = USUAL;
    while let Some(next) = limits.within_share(&sizes, &Capacities { sockets: sizes.sockets * 2, ..sizes }) {
        sizes = next;
    }
    assert_eq!(sizes.sockets, 260_096);
    let of_sockets = limits.sum(&sizes, |size| size == Size::Sockets);
    assert_eq!(of_sockets.div_ceil(MIB), 58);
}

/// One that takes more than the whole limit keeps nothing else from growing.
#[test]
fn a_chosen_size_is_no_part_of_what_the_limit_bounds() {
    let fixed = Fixed { flows: Some(1_000_000), ..Fixed::default() };
    let limits = Limits { fixed, ..limits(4 * GIB, 4) };
    assert!(limits.chosen() > limits.memory && limits.chosen() < 200 * MIB, "{}", limits.chosen());
    assert_eq!(limits.together(), 128 * MIB + limits.chosen());
    let first = limits.first(4 * GIB);
    assert_eq!(first, Capacities { flows: 1_000_000, ..USUAL });
    let wanted = Capacities { services: 65_536, ..first };
    assert_eq!(limits.within(&first, &wanted), Some(wanted));
    let flood = Capacities { sockets: 65_536, ..first };
    assert_eq!(limits.within_share(&first, &flood), Some(flood));
    // And it takes nothing away from what bounds the others.
    let flood = limits.within_share(&first, &Capacities { sockets: 1 << 20, ..first }).unwrap();
    let unbounded = Limits { fixed: Fixed::default(), ..limits };
    let others = Capacities { flows: 0, ..flood };
    assert!((30 * MIB..=64 * MIB).contains(&remembered(&unbounded, &others)), "{flood:?}");
    assert_eq!(unbounded.chosen(), 0);
}

#[test]
fn a_size_that_is_chosen_later_is_reached_at_once_or_not_at_all() {
    let fixed = Fixed { flows: Some(1_000_000), ..Fixed::default() };
    let roomy = Limits { fixed, ..limits(4 * GIB, 4) };
    let chosen = Capacities { flows: 1_000_000, ..USUAL };
    assert_eq!(roomy.within(&USUAL, &chosen), Some(chosen));
    let wanted = Capacities { services: 65_536, ..chosen };
    assert_eq!(roomy.within(&USUAL, &wanted), Some(wanted), "with others that grow");
    // The others go as far as the limit.
    let far = Capacities { backends: 1 << 24, ..chosen };
    let part = roomy.within(&USUAL, &far).unwrap();
    assert!(part.flows == 1_000_000 && part.backends > USUAL.backends && part.backends < far.backends);
    assert!(roomy.bounded(&part) <= roomy.memory);
    // Where none of them has room, it is reached all the same.
    let full = Limits { memory: 0, ..roomy };
    assert_eq!(full.within(&USUAL, &far), Some(chosen));
    assert_eq!(full.within(&chosen, &far), None);
}
