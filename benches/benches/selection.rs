//! A service with 1000 endpoints in ten slices when one of them changes: selection alone, and the
//! whole line. `cargo bench -p benches --bench selection`

use benches::cluster::{NODE, SampleCluster};
use criterion::{BatchSize, Criterion};
use shunt::{
    engine::{Engine, Rules},
    model::{Event, Family},
    select::select_endpoints,
    writer::MemoryMaps,
};
use std::time::Duration;

const ENDPOINTS: u32 = 1_000;

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
    criterion.final_summary();
}

fn sync(engine: &mut Engine<MemoryMaps>) {
    if let Err(error) = engine.sync() {
        panic!("sync: {error}");
    }
}
