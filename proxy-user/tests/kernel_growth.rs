//! The kernel's maps grow under a dataplane: what does not fit makes them larger, and nothing is ever left out.

mod kernel_lab;

use kernel_lab::Lab;
use shunt::dataplane::{Dataplane, Options};
use shunt::engine::{Engine, Remembered, Rules, SyncReport};
use shunt::kernel::{Kernel, Machine};
use shunt::model::{
    Endpoint, EndpointSlice, Event, Family, ObjectName, Protocol, Service, ServicePort, SlicePort,
};
use shunt::view::decode;
use shunt::writer::{Capacities, Fixed, MapReader, MemoryMaps, footprint, total_footprint};
use std::net::Ipv4Addr;
use std::time::Instant;

/// Room for hardly anything.
const TINY: Capacities = Capacities {
    frontends: 16,
    services: 8,
    slots: 32,
    backends: 16,
    name_cells: 128,
    sockets: 64,
    affinities: 64,
    flows: 64,
    prefixes: 16,
};

/// Service `number` with its endpoints.
fn service(number: u32, endpoints: u32) -> [Event; 2] {
    let name = format!("svc-{number}");
    let address = Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 96, 0, 0)) + number);
    let mut service = Service::cluster_ip(ObjectName::new("default", &name), vec![address.into()]);
    service.ports =
        vec![ServicePort { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: None }];
    let pods = (0..endpoints).map(|pod| {
        let first = u32::from(Ipv4Addr::new(10, 128, 0, 0));
        Endpoint::ready(Ipv4Addr::from_bits(first + number * endpoints + pod).into())
    });
    let slice = EndpointSlice {
        name: ObjectName::new("default", &name),
        service: name.into(),
        family: Family::V4,
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: pods.collect(),
    };
    [Event::ServiceApplied(service), Event::SliceApplied(slice)]
}

fn open(lab: &Lab, memory: u64, fixed: Fixed) -> Dataplane {
    let limits = Machine::here().limits(Some(memory), fixed);
    let options = Options { capacities: TINY, limits, ..lab.options() };
    Dataplane::open("n1", Rules::default(), &options).expect("a dataplane")
}

/// What the maps hold is what maps in memory hold that were large enough from the first, but for indices.
fn is_whole(dataplane: &Dataplane, services: u32, endpoints: u32) {
    let roomy = Capacities::for_cluster(2 * services, endpoints);
    let mut memory = Engine::new("n1", Rules::default(), MemoryMaps::new(&roomy)).expect("an engine");
    (0..services).flat_map(|number| service(number, endpoints)).for_each(|event| memory.apply(event));
    memory.sync().expect("maps in memory");
    let content = |maps: &dyn Fn() -> Vec<shunt::view::PortView>| {
        let mut ports = maps();
        ports.iter_mut().for_each(|port| port.index = 0);
        ports
    };
    let wanted = content(&|| decode(memory.writer()).expect("memory"));
    assert!(content(&|| dataplane.dump().expect("a dump")) == wanted, "the maps hold something else");
}

fn sum(maps: &shunt::kernel::PinnedMaps) -> u64 {
    maps.memory().expect("fdinfo").iter().map(|(_, bytes)| bytes).sum()
}

#[test]
fn five_thousand_services_fill_tiny_maps_and_none_is_left_out() {
    let Some(lab) = Lab::new() else { return };
    lab.on_island(|| {
        let mut dataplane = open(&lab, 1 << 30, Fixed::default());
        let start = Instant::now();
        let mut growths = Vec::new();
        for first in (0..5_000).step_by(100) {
            let events = (first..first + 100).flat_map(|number| service(number, 3));
            events.for_each(|event| dataplane.apply(event));
            let SyncReport { newly_unplaced, newly_placed, growth_failed, growths: grown, .. } =
                dataplane.sync().expect("a sync");
            assert_eq!((growth_failed, newly_unplaced, newly_placed), (None, vec![], vec![]));
            growths.extend(grown);
        }
        let took: std::time::Duration = growths.iter().map(|growth| growth.took).sum();
        eprintln!("{} growths took {took:?} of {:?}", growths.len(), start.elapsed());
        for growth in &growths {
            eprintln!(
                "  {:?}: {} to {} endpoints",
                growth.took, growth.before.backends, growth.after.backends
            );
        }
        // From 16 endpoints to 32,768 in 5,000 services; the first growth is for the first hundred.
        assert!((6..=10).contains(&growths.len()), "{}", growths.len());
        let capacities = dataplane.engine().writer().capacities();
        assert_eq!((capacities.services, capacities.flows), (8_192, TINY.flows), "only what is needed");
        is_whole(&dataplane, 5_000, 3);
        // Who reads finds the maps that serve now.
        let reader = Kernel::read_only(&lab.pin_path()).expect("pinned maps");
        assert_eq!(reader.capacities(), capacities);

        // The next agent takes them over as they are, and has nothing to write.
        drop(dataplane);
        let mut next = open(&lab, 1 << 30, Fixed::default());
        (0..5_000).flat_map(|number| service(number, 3)).for_each(|event| next.apply(event));
        let report = next.sync().expect("a sync");
        assert_eq!((report.stores, report.puts, report.deletes, report.growths.len()), (0, 0, 0, 0));
    });
}

#[test]
fn at_the_limit_of_memory_services_are_left_out_and_named() {
    let Some(lab) = Lab::new() else { return };
    lab.on_island(|| {
        let memory = total_footprint(&TINY, Machine::here().cpus) + (300 << 10);
        let mut dataplane = open(&lab, memory, Fixed::default());
        (0..3_000).flat_map(|number| service(number, 3)).for_each(|event| dataplane.apply(event));
        let report = dataplane.sync().expect("a sync");
        let left_out = dataplane.unplaced().len();
        assert!((500..2_990).contains(&left_out) && left_out == report.newly_unplaced.len(), "{left_out}");
        assert_eq!((report.growth_failed, report.fixed), (None, Some(Fixed::default())));
        assert!(sum(dataplane.engine().writer()) <= memory, "the limit holds");
        // Those that go make room for others.
        let names = dataplane.dump().expect("a dump").into_iter().filter_map(|port| port.id);
        let names: Vec<_> = names.take(10).map(|id| id.service).collect();
        names.into_iter().for_each(|name| dataplane.delete_service(name));
        let report = dataplane.sync().expect("a sync");
        assert_eq!((report.newly_placed.len(), dataplane.unplaced().len()), (10, left_out - 10));

        // A higher limit, and all of them have room.
        drop(dataplane);
        let mut richer = open(&lab, 1 << 30, Fixed::default());
        (0..3_000).flat_map(|number| service(number, 3)).for_each(|event| richer.apply(event));
        let report = richer.sync().expect("a sync");
        assert_eq!((report.growths.len(), richer.unplaced()), (1, vec![]));
        is_whole(&richer, 3_000, 3);
    });
}

#[test]
fn maps_of_sockets_grow_as_they_are_counted_and_chosen_sizes_stay() {
    let Some(lab) = Lab::new() else { return };
    lab.on_island(|| {
        let fixed = Fixed { flows: Some(128), ..Fixed::default() };
        let mut dataplane = open(&lab, 1 << 30, fixed);
        assert!(!dataplane.grow_remembered(&Remembered { reverse: Some(51), ..Remembered::default() }));
        let all = Remembered { reverse: Some(52), affinities: Some(64), flows: Some(64), udp_flows: Some(1) };
        assert!(dataplane.grow_remembered(&all));
        let Capacities { sockets, affinities, flows, .. } = dataplane.engine().writer().capacities();
        assert_eq!((sockets, affinities, flows), (128, 128, 64), "flows were chosen");
        let report = dataplane.sync().expect("a sync");
        assert_eq!(dataplane.engine().writer().capacities().flows, 128, "and grow to what was chosen");
        assert_eq!(report.growths.len(), 2);
        let counted = (0..10).find_map(|_| dataplane.count_remembered().expect("a count"));
        assert_eq!(
            counted,
            Some(Remembered { udp_flows: Some(0), reverse: Some(0), affinities: Some(0), flows: None })
        );
    });
}

/// The memory that is reckoned with is what the kernel says the maps take, on this machine's CPUs.
#[test]
fn memory_is_reckoned_as_the_kernel_counts_it() {
    let Some(lab) = Lab::new() else { return };
    let Machine { cpus, memory } = Machine::here();
    for sizes in [TINY, Machine::here().limits(None, Fixed::default()).first(memory)] {
        let mut lab_options = lab.options();
        lab_options.capacities = sizes;
        lab_options.pin_path = lab.bpffs.path().join(format!("of-{}", sizes.services));
        let kernel = Kernel::open(&lab_options).expect("open");
        let counted = kernel.maps().memory().expect("fdinfo");
        let mut tries = 0;
        for (map, bytes) in footprint(&sizes, cpus) {
            let (_, found) = counted.iter().find(|(name, _)| *name == map).expect(map);
            // Tries take memory as they fill.
            if ["SOURCE_RANGES", "NETWORKS"].contains(&map) {
                tries += bytes;
            } else {
                assert_eq!(*found, bytes, "{map}");
            }
        }
        let sum = sum(kernel.maps());
        let reckoned = total_footprint(&sizes, cpus) - tries;
        assert!(sum <= reckoned && reckoned <= sum + (256 << 10), "{sum} of {reckoned}");
        eprintln!("{sizes:?}: {sum} bytes");
        drop(kernel);
        shunt::kernel::remove(&lab_options.pin_path).expect("removed");
    }
}
