//! What selection costs: a service with 1000 endpoints in ten slices when one of them changes, and 10,000
//! services when the node's zone changes. `cargo bench -p benches --bench selection`

use benches::cluster::{NODE, SampleCluster};
use criterion::{BatchSize, Criterion};
use shunt::{
    engine::{Engine, Rules},
    model::{Event, Family, Node},
    select::select_endpoints,
    writer::MemoryMaps,
};
use std::time::Duration;

const ENDPOINTS: u32 = 1_000;
const SERVICES: u32 = 10_000;

fn main() {
    let cluster = SampleCluster::new(1, ENDPOINTS);
    let maps = MemoryMaps::new(&cluster.capacities());
    let mut engine =
        Engine::new(NODE, Rules::default(), maps).unwrap_or_else(|error| panic!("adopt: {error}"));
    cluster.events().for_each(|event| engine.apply(event));
    sync(&mut engine);

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("a service with 1000 endpoints");
    let mut turn = 0;
    group.bench_function("one changes: event to published change", |bencher| {
        bencher.iter_batched(
            || {
                turn += 1;
                let endpoint = turn / 2 * 7 % ENDPOINTS;
                Event::SliceApplied(if turn % 2 == 0 {
                    cluster.slice_without(0, endpoint)
                } else {
                    cluster.slice_with(0, endpoint)
                })
            },
            |event| {
                engine.apply(event);
                sync(&mut engine);
            },
            BatchSize::PerIteration,
        );
    });
    let (mut known, mut usable, mut members) = (shunt::cluster::Cluster::new(NODE), Vec::new(), Vec::new());
    cluster.events().for_each(|event| known.apply(event));
    let service = known.next_dirty().and_then(|id| known.service(id));
    let Some((service, object)) = service.and_then(|s| Some((s, s.service.as_ref()?))) else {
        panic!("the service is not known");
    };
    group.bench_function("selection alone", |bencher| {
        bencher.iter(|| {
            let (port, slices, hints) = (&object.ports[0], known.slices(service), known.hints());
            select_endpoints(port, Family::V4, slices, hints, &mut usable, &mut members);
            assert_eq!(members.len() as u32, ENDPOINTS);
        });
    });
    group.finish();
    zone(&mut criterion);
    criterion.final_summary();
}

/// The node's zone label changes: every service is selected anew. With hints for two zones each change
/// exchanges the endpoints of every cluster set; without hints nothing comes of it.
fn zone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("the zone label changes over 10000 services");
    group.sample_size(20);
    for (name, hints) in [("with hints", true), ("without hints", false)] {
        let cluster = SampleCluster::new(SERVICES, 10);
        let maps = MemoryMaps::new(&cluster.capacities());
        let mut engine =
            Engine::new(NODE, Rules::default(), maps).unwrap_or_else(|error| panic!("adopt: {error}"));
        for mut event in cluster.events() {
            if let Event::SliceApplied(slice) = &mut event {
                let zones = ["zone-a", "zone-b"].into_iter().cycle();
                slice.endpoints.iter_mut().zip(zones).filter(|_| hints).for_each(|(endpoint, zone)| {
                    endpoint.zone_hints = vec![zone.into()];
                });
            }
            engine.apply(event);
        }
        sync(&mut engine);
        let mut zones = ["zone-a", "zone-b"].into_iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let zone = zones.next().map(Into::into);
                engine.apply(Event::NodeApplied(Node { name: NODE.into(), zone, ..Node::default() }));
                sync(&mut engine);
            });
        });
    }
    group.finish();
}

fn sync(engine: &mut Engine<MemoryMaps>) {
    if let Err(error) = engine.sync() {
        panic!("sync: {error}");
    }
}
