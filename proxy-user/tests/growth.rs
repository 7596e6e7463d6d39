//! Maps that grow: what does not fit makes them larger, up to a limit, and nothing that was there moves.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use proptest::prelude::*;
use shunt::{
    engine::{Engine, Remembered, Rules, SyncReport},
    model::{Endpoint, EndpointSlice, Event, Family, ObjectName, Protocol, Service, ServicePort, SlicePort},
    writer::{Capacities, Fixed, Limits, MapReader, MemoryMaps, total_footprint},
};
use std::{net::Ipv4Addr, time::Duration};
use support::{
    NODE, World, content, event, offered,
    plain::{address, service, slice},
};

/// Room for hardly anything.
const TINY: Capacities = Capacities {
    frontends: 4,
    services: 2,
    slots: 4,
    backends: 2,
    name_cells: 128,
    sockets: 16,
    affinities: 16,
    flows: 16,
    prefixes: 2,
};

const LIMITS: Limits = Limits { memory: 1 << 30, cpus: 4, fixed: NONE };
const NONE: Fixed =
    Fixed { frontends: None, services: None, endpoints: None, sockets: None, affinities: None, flows: None };

fn engine(capacities: &Capacities, limits: Limits) -> Engine<MemoryMaps> {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(capacities)).unwrap();
    engine.limit(limits);
    engine
}

/// Syncs, with maps that grow as they are asked.
fn sync(engine: &mut Engine<MemoryMaps>) -> SyncReport {
    engine.sync_growing(grow).unwrap()
}

/// Whatever stood anywhere before still stands there.
fn grow(maps: &mut MemoryMaps, wanted: &Capacities) -> Result<Duration, String> {
    let before = maps.clone();
    maps.grow(wanted);
    let sorted = |maps: &MemoryMaps| {
        let mut frontends = maps.frontends().unwrap();
        frontends.sort_unstable_by_key(|(key, _)| *key);
        frontends
    };
    assert_eq!(sorted(maps), sorted(&before));
    let Capacities { services, slots, backends, .. } = before.capacities();
    assert!((0..services).all(|index| maps.service(index) == before.service(index)));
    assert!((0..slots).all(|index| MapReader::slot(maps, index) == MapReader::slot(&before, index)));
    assert!((0..backends).all(|index| MapReader::backend(maps, index) == MapReader::backend(&before, index)));
    Ok(Duration::ZERO)
}

/// Services with as many endpoints each, one port, one family.
fn fleet(services: u32, endpoints: u32) -> impl Iterator<Item = Event> {
    (0..services).flat_map(move |number| {
        let name = ObjectName::new("default", format!("svc-{number}"));
        let mut service = Service::cluster_ip(
            name,
            vec![Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 96, 0, 0)) + number).into()],
        );
        service.ports =
            vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: None }];
        let pods = (0..endpoints).map(|pod| {
            let bits = u32::from(Ipv4Addr::new(10, 128, 0, 0)) + number * endpoints + pod;
            Endpoint::ready(Ipv4Addr::from_bits(bits).into())
        });
        let slice = EndpointSlice {
            name: ObjectName::new("default", format!("slice-{number}")),
            service: format!("svc-{number}").into(),
            family: Family::V4,
            ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
            endpoints: pods.collect(),
        };
        [Event::ServiceApplied(service), Event::SliceApplied(slice)]
    })
}

#[test]
fn a_first_fill_grows_once() {
    let first = LIMITS.first(4 << 30);
    let mut engine = engine(&first, LIMITS);
    fleet(10_000, 10).for_each(|event| engine.apply(event));
    let report = sync(&mut engine);
    assert_eq!((report.newly_unplaced, report.growths.len()), (vec![], 1));
    assert_eq!(report.services, 10_000);
    let usage = engine.usage();
    assert_eq!((usage.services, usage.backends), (10_000, 100_000));
    let after = engine.writer().capacities();
    assert_eq!((report.growths[0].before, report.growths[0].after), (first, after));
    assert_eq!((after.services, after.backends, after.slots), (16_384, 131_072, 262_144));
    assert_eq!((after.flows, after.sockets), (first.flows, first.sockets), "only what is needed");
    // Room for some more: the next change grows nothing.
    fleet(10_100, 10).skip(20_000).for_each(|event| engine.apply(event));
    assert_eq!(sync(&mut engine).growths, []);
    assert_eq!(engine.wanted(), None);
}

#[test]
fn services_that_come_one_by_one_double_the_maps() {
    let mut engine = engine(&TINY, LIMITS);
    engine.sync().unwrap();
    let mut growths = 0;
    for event in fleet(200, 3) {
        engine.apply(event);
        let report = sync(&mut engine);
        assert_eq!(report.newly_unplaced, []);
        assert!(report.newly_placed.is_empty(), "what never waited is no news");
        growths += report.growths.len();
    }
    assert_eq!(engine.usage().backends, 600);
    // Of 6 maps each doubles 7 times at most, and as a rule several at once.
    assert!((7..=25).contains(&growths), "{growths}");
    for (used, room) in [
        (engine.usage().services, engine.writer().capacities().services),
        (engine.usage().backends, engine.writer().capacities().backends),
    ] {
        assert!(used * 5 <= room * 4 && used * 3 > room, "{used} of {room}");
    }
}

#[test]
fn one_service_that_outgrows_its_map_is_never_left_out() {
    let mut engine = engine(&TINY, LIMITS);
    engine.apply(service(0, Family::V4, 80));
    engine.apply(slice(0, &[(1, false)]));
    sync(&mut engine);
    let pods: Vec<_> = (1..100).map(|pod| (pod, pod == 7)).collect();
    engine.apply(slice(0, &pods));
    let report = sync(&mut engine);
    assert_eq!((report.newly_unplaced, report.newly_placed), (vec![], vec![]));
    assert!(!report.growths.is_empty() && engine.unplaced().is_empty());
    assert_eq!(offered(engine.writer())[&address(0, Family::V4, 80)].len(), 99);
}

#[test]
fn what_waits_for_a_grace_period_is_no_reason_to_grow() {
    let mut engine = engine(&Capacities { slots: 64, backends: 64, ..TINY }, LIMITS);
    engine.apply(service(0, Family::V4, 80));
    engine.apply(slice(0, &[(1, false)]));
    sync(&mut engine);
    let before = engine.writer().capacities();
    for round in 0..100_u8 {
        engine.apply(slice(0, &[(round + 2, false)]));
        assert_eq!(sync(&mut engine).growths, []);
    }
    assert_eq!(engine.writer().capacities(), before);
}

#[test]
fn at_the_limit_it_is_as_it_was_without_growth() {
    let memory = total_footprint(&TINY, 4) + 4_000;
    let mut engine = engine(&TINY, Limits { memory, ..LIMITS });
    for event in fleet(40, 2) {
        engine.apply(event);
    }
    let report = sync(&mut engine);
    let left_out = report.newly_unplaced.len();
    assert!(left_out > 0 && left_out == engine.unplaced().len(), "{left_out}");
    assert_eq!(report.fixed, Some(NONE), "more memory would help");
    let sizes = engine.writer().capacities();
    assert!(total_footprint(&sizes, 4) <= memory);
    assert_eq!(sync(&mut engine).newly_unplaced, [], "said once");
    let gone = report.newly_unplaced[0].port.service.clone();
    let served = (0..40).map(|number| ObjectName::new("default", format!("svc-{number}")));
    let served = served.filter(|name| engine.unplaced().iter().all(|u| u.port.service != *name));
    let served: Vec<_> = served.take(2).collect();
    served.into_iter().for_each(|name| engine.apply(Event::ServiceDeleted(name)));
    let report = sync(&mut engine);
    assert!(!report.newly_placed.is_empty(), "{gone:?} or another found room");
}

#[test]
fn a_chosen_size_is_reached_and_never_passed() {
    let fixed = Fixed { endpoints: Some(8), ..NONE };
    let mut engine = engine(&TINY, Limits { fixed, ..LIMITS });
    fleet(10, 2).for_each(|event| engine.apply(event));
    let report = sync(&mut engine);
    let sizes = engine.writer().capacities();
    assert_eq!((sizes.backends, sizes.slots), (8, 16), "maps that are taken over grow to it");
    assert_eq!(report.newly_unplaced.len(), 6);
    assert_eq!(report.fixed, Some(fixed));
}

/// Flows for a million connections take more than the whole limit, and everything else grows within it.
#[test]
fn a_chosen_size_keeps_no_other_map_from_growing() {
    let fixed = Fixed { flows: Some(1_000_000), ..NONE };
    let limits = Limits { memory: 16 << 20, fixed, ..LIMITS };
    for before in [16, 1_000_000] {
        let mut engine = engine(&Capacities { flows: before, ..TINY }, limits);
        assert!(limits.chosen() > limits.memory);
        fleet(40, 2).for_each(|event| engine.apply(event));
        assert_eq!(sync(&mut engine).newly_unplaced, []);
        let full = Remembered { reverse: Some(16), ..Remembered::default() };
        assert!(engine.grow_remembered(&full, grow));
        let sizes = engine.writer().capacities();
        assert_eq!((sizes.flows, sizes.sockets), (1_000_000, 32), "from {before}");
    }
}

#[test]
fn without_limits_no_map_grows() {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&TINY)).unwrap();
    fleet(4, 2).for_each(|event| engine.apply(event));
    let report = engine.sync_growing(grow).unwrap();
    assert_eq!((report.growths, report.fixed), (vec![], None));
    assert!(!report.newly_unplaced.is_empty());
    assert_eq!(engine.writer().capacities(), TINY);
}

#[test]
fn a_growth_that_fails_leaves_out_what_does_not_fit_until_it_succeeds() {
    let mut engine = engine(&TINY, LIMITS);
    fleet(8, 2).for_each(|event| engine.apply(event));
    let mut asked = 0;
    let mut refuse = |_: &mut MemoryMaps, _: &Capacities| -> Result<Duration, &str> {
        asked += 1;
        Err("no memory")
    };
    let report = engine.sync_growing(&mut refuse).unwrap();
    assert_eq!(report.growth_failed.as_deref(), Some("no memory"));
    assert!(!report.newly_unplaced.is_empty() && engine.is_growth_barred());
    assert_eq!(content(engine.writer()).len(), 1, "what fits is there");
    assert_eq!(engine.sync_growing(&mut refuse).unwrap().growth_failed, None);
    assert_eq!(asked, 1, "not with every sync");
    engine.allow_growth();
    let report = sync(&mut engine);
    assert_eq!((engine.unplaced(), report.newly_placed.len()), (vec![], 7));
}

#[test]
fn maps_that_programs_write_grow_when_four_fifths_are_in_use() {
    let mut engine = engine(&TINY, LIMITS);
    let used = |flows| Remembered { flows: Some(flows), ..Remembered::default() };
    assert!(!engine.grow_remembered(&used(12), grow), "12 of 16");
    assert!(engine.grow_remembered(&used(13), grow));
    let sizes = engine.writer().capacities();
    assert_eq!((sizes.flows, sizes.sockets, sizes.backends), (32, TINY.sockets, TINY.backends));
    assert_eq!(sync(&mut engine).growths.len(), 1, "told with the next sync");
    let mut fixed = self::engine(&TINY, Limits { fixed: Fixed { flows: Some(16), ..NONE }, ..LIMITS });
    assert!(!fixed.grow_remembered(&used(16), grow));
    let all = Remembered { udp_flows: Some(3), reverse: Some(16), affinities: Some(16), flows: Some(16) };
    assert!(fixed.grow_remembered(&all, grow));
    let sizes = fixed.writer().capacities();
    assert_eq!((sizes.flows, sizes.sockets, sizes.affinities), (16, 32, 32));
}

/// How a growth ends.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Done,
    Refused,
    /// Some maps have grown, some have not.
    HalfWay,
    /// Done, and the agent is killed right after.
    Killed,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Done),
        1 => Just(Fate::Refused),
        1 => Just(Fate::HalfWay),
        1 => Just(Fate::Killed),
    ]
}

fn from_scratch(world: &World) -> Engine<MemoryMaps> {
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&support::ROOMY)).unwrap();
    world.list().into_iter().for_each(|event| engine.apply(event));
    engine.sync().unwrap();
    engine
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever becomes of growths and whenever the agent dies, the maps end as if they had been large from the first.
    #[test]
    fn growth_refusals_and_kills_converge(
        events in prop::collection::vec((event(), any::<bool>()), 1..100),
        fates in prop::collection::vec(fate(), 1..20),
    ) {
        let mut fates = fates.into_iter().cycle();
        let (mut agent, mut world) = (engine(&TINY, LIMITS), World::default());
        for (event, is_synced) in events {
            world.apply(&event);
            agent.apply(event);
            if !is_synced {
                continue;
            }
            let mut left = None;
            let report = agent.sync_growing(|maps, wanted| match fates.next().unwrap() {
                Fate::Done => grow(maps, wanted),
                Fate::Refused => Err("refused".to_owned()),
                Fate::HalfWay => {
                    let now = maps.capacities();
                    maps.grow(&Capacities { slots: wanted.slots, services: wanted.services, ..now });
                    Err("half-way".to_owned())
                }
                Fate::Killed => {
                    grow(maps, wanted)?;
                    left = Some(maps.clone());
                    Ok(Duration::ZERO)
                }
            }).unwrap();
            let waiting = agent.unplaced();
            prop_assert!(report.newly_unplaced.iter().all(|new| waiting.contains(new)), "told in vain");
            prop_assert!(waiting.is_empty() || agent.is_growth_barred(), "{waiting:?}");
            agent.allow_growth();
            if let Some(left) = left {
                agent = Engine::new(NODE, Rules::default(), left).unwrap();
                agent.limit(LIMITS);
                world.list().into_iter().for_each(|event| agent.apply(event));
            }
        }
        sync(&mut agent);
        prop_assert!(agent.unplaced().is_empty());
        prop_assert_eq!(content(agent.writer()), content(from_scratch(&world).writer()));
        world.deletions().into_iter().for_each(|event| agent.apply(event));
        sync(&mut agent);
        agent.settle().unwrap();
        prop_assert!(content(agent.writer()).is_empty());
        prop_assert_eq!(agent.usage(), shunt::table::Usage::default());
    }
}
