//! Event to published change over maps in memory: what the straight line costs without the kernel.
//! `cargo bench -p benches --bench change`

use benches::cluster::{NODE, SampleCluster};
use criterion::{BatchSize, BenchmarkId, Criterion};
use shunt::{
    engine::{Engine, Rules},
    model::Event,
    writer::MemoryMaps,
};
use std::time::Duration;

const ENDPOINTS: u32 = 10;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut group = criterion.benchmark_group("event to published change");
    for services in [100, 10_000] {
        let cluster = SampleCluster::new(services, ENDPOINTS);
        let mut engine = filled(&cluster);
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("same service", services), |bencher| {
            bencher.iter_batched(
                || {
                    turn += 1;
                    toggled(&cluster, services / 2, turn)
                },
                |event| change(&mut engine, event),
                BatchSize::PerIteration,
            );
        });
        engine.settle().unwrap_or_else(|error| panic!("settle: {error}"));
    }
    group.finish();
    criterion.final_summary();
}

fn filled(cluster: &SampleCluster) -> Engine<MemoryMaps> {
    let maps = MemoryMaps::new(&cluster.capacities());
    let mut engine =
        Engine::new(NODE, Rules::default(), maps).unwrap_or_else(|error| panic!("adopt: {error}"));
    cluster.events().for_each(|event| engine.apply(event));
    change(&mut engine, Event::NodeDeleted("node-elsewhere".into()));
    engine
}

/// The slice of a service without one of its endpoints, and with it again, in turn.
fn toggled(cluster: &SampleCluster, service: u32, turn: u32) -> Event {
    let endpoint = turn / 2 % ENDPOINTS;
    Event::SliceApplied(if turn.is_multiple_of(2) {
        cluster.slice_without(service, endpoint)
    } else {
        cluster.slice_with(service, endpoint)
    })
}

fn change(engine: &mut Engine<MemoryMaps>, event: Event) {
    engine.apply(event);
    if let Err(error) = engine.sync() {
        panic!("sync: {error}");
    }
}
