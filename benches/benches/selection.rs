//! What selection costs: a service with 1000 endpoints in ten slices when one of them changes, and 10,000
//! services when the node's zone changes. `cargo bench -p benches --bench selection`

use benches::cluster::{NODE, SampleCluster};
use criterion::{BatchSize, Criterion};
use shunt::{
    cluster::Cluster,
    engine::{Engine, Rules},
    model::{EndpointSlice, Event, Family, Node},
    select::select_endpoints,
    writer::MemoryMaps,
};
use std::{hint::black_box, net::IpAddr, time::Duration};

const ENDPOINTS: u32 = 1_000;
const SERVICES: u32 = 10_000;

/// What is done to a slice before it is applied.
type Finish = fn(EndpointSlice) -> EndpointSlice;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    one_endpoint(&mut criterion, "a service with 1000 endpoints", |slice| slice);
    one_endpoint(&mut criterion, "a service with 1000 endpoints and zone hints", hinted);
    zone(&mut criterion);
    criterion.final_summary();
}

fn one_endpoint(criterion: &mut Criterion, about: &str, finish: Finish) {
    let cluster = SampleCluster::new(1, ENDPOINTS);
    let mut engine = filled(&cluster, finish);
    let mut group = criterion.benchmark_group(about);
    let mut turn = 0;
    group.bench_function("one changes: event to published change", |bencher| {
        bencher.iter_batched(
            || {
                turn += 1;
                let endpoint = turn / 2 * 7 % ENDPOINTS;
                Event::SliceApplied(finish(if turn % 2 == 0 {
                    cluster.slice_without(0, endpoint)
                } else {
                    cluster.slice_with(0, endpoint)
                }))
            },
            |event| {
                engine.apply(event);
                sync(&mut engine);
            },
            BatchSize::PerIteration,
        );
    });
    let (mut known, mut usable, mut members) = (Cluster::new(NODE), Vec::new(), Vec::new());
    events(&cluster, finish).for_each(|event| known.apply(event));
    let service = known.next_dirty().and_then(|id| known.service(id));
    let Some((service, object)) = service.and_then(|s| Some((s, s.service.as_ref()?))) else {
        panic!("the service is not known");
    };
    group.bench_function("selection alone", |bencher| {
        bencher.iter(|| {
            let (port, slices, hints) = (&object.ports[0], known.slices(service), known.hints());
            select_endpoints(port, Family::V4, slices, hints, &mut usable, &mut members);
            assert_eq!(black_box(&members).len() as u32, ENDPOINTS);
        });
    });
    group.finish();
}

/// The node's zone label changes: every service is selected anew. With hints for two zones each change
/// exchanges the endpoints of every cluster set; without hints nothing comes of it.
fn zone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("the zone label changes over 10000 services");
    group.sample_size(20);
    for (name, finish) in [("with hints", hinted as Finish), ("without hints", |slice| slice)] {
        let mut engine = filled(&SampleCluster::new(SERVICES, 10), finish);
        let mut zones = ["zone-b", "zone-a"].into_iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                engine.apply(node(zones.next()));
                sync(&mut engine);
            });
        });
    }
    group.finish();
}

/// An engine that holds the cluster, on a node in one of two zones.
fn filled(cluster: &SampleCluster, finish: Finish) -> Engine<MemoryMaps> {
    let maps = MemoryMaps::new(&cluster.capacities());
    let mut engine =
        Engine::new(NODE, Rules::default(), maps).unwrap_or_else(|error| panic!("adopt: {error}"));
    engine.apply(node(Some("zone-a")));
    events(cluster, finish).for_each(|event| engine.apply(event));
    sync(&mut engine);
    engine
}

fn events(cluster: &SampleCluster, finish: Finish) -> impl Iterator<Item = Event> + '_ {
    cluster.events().map(move |event| match event {
        Event::SliceApplied(slice) => Event::SliceApplied(finish(slice)),
        event => event,
    })
}

/// The slice with the hints that the controller writes for `trafficDistribution: PreferSameZone`.
fn hinted(mut slice: EndpointSlice) -> EndpointSlice {
    for endpoint in &mut slice.endpoints {
        let IpAddr::V4(address) = endpoint.address else { continue };
        endpoint.zone_hints = vec![["zone-a", "zone-b"][address.to_bits() as usize % 2].into()];
    }
    slice
}

fn node(zone: Option<&str>) -> Event {
    Event::NodeApplied(Node { name: NODE.into(), zone: zone.map(Into::into), ..Node::default() })
}

fn sync(engine: &mut Engine<MemoryMaps>) {
    if let Err(error) = engine.sync() {
        panic!("sync: {error}");
    }
}
