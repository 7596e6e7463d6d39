//! First fill: a whole cluster in decoded objects, programmed into empty maps.

use super::{ENDPOINTS, Scale};
use crate::{
    cluster::SampleCluster,
    report::{Figure, Report, Target},
    stage::{Stage, options},
};
use anyhow::Result;
use shunt::{
    kernel::{Kernel, remove, sys},
    lab,
    model::Event,
};
use std::time::Instant;

const OPEN: &str = "maps made and programs loaded";
const ADOPT: &str = "empty maps read by a starting engine";
const FILL: &str = "first fill";
const CALLS: &str = "bpf(2) calls of the first fill";

/// Runs the scenario.
///
/// # Errors
/// Where a stage cannot be made, or the cluster is not programmed as a whole.
pub fn run(scale: Scale) -> Result<Report> {
    let mut report = Report::new("fill", "first fill from decoded objects, 10 endpoints per service");
    let mut samples: Vec<[Vec<f64>; 4]> = vec![Default::default(); scale.sizes().len()];
    for _ in 0..scale.rounds() {
        for (services, samples) in scale.sizes().into_iter().zip(&mut samples) {
            let cluster = SampleCluster::new(services, ENDPOINTS);
            samples[0].push(open(&cluster)?);
            let [adopt, fill, calls] = fill(cluster)?;
            samples[1].push(adopt);
            samples[2].push(fill);
            samples[3].push(calls);
        }
    }
    for (services, [open, adopt, fill, calls]) in scale.sizes().into_iter().zip(samples) {
        report.figures.push(Figure::new(OPEN, services, "ms", open));
        report.figures.push(Figure::new(ADOPT, services, "ms", adopt));
        report.figures.push(Figure::new(FILL, services, "ms", fill));
        report.figures.push(Figure::new(CALLS, services, "calls", calls));
    }
    let most = scale.sizes()[2];
    let what = format!("first fill, {most} services, {} endpoints", most * ENDPOINTS);
    let limit = 2_000.0 * f64::from(most) / 100_000.0;
    report.targets.push(Target::at_most(what, "ms", limit, report.median(FILL, most)?));
    Ok(report)
}

/// Milliseconds to make the maps and load the programs.
fn open(cluster: &SampleCluster) -> Result<f64> {
    let (pins, cgroup) = (lab::Bpffs::new()?, lab::Cgroup::new()?);
    let options = options(cluster, &pins, &cgroup);
    let start = Instant::now();
    let kernel = Kernel::open(&options)?;
    let span = milliseconds(start);
    drop(kernel);
    remove(&options.pin_path)?;
    Ok(span)
}

/// Milliseconds of the engine's start and of the fill, and the fill's bpf(2) calls.
fn fill(cluster: SampleCluster) -> Result<[f64; 3]> {
    let mut stage = Stage::empty(cluster)?;
    let adopt = stage.adoption.as_secs_f64() * 1e3;
    let events: Vec<Event> = stage.cluster.events().collect();
    let calls = sys::calls();
    let start = Instant::now();
    events.into_iter().for_each(|event| stage.engine.apply(event));
    let report = stage.engine.sync()?;
    let span = milliseconds(start);
    let calls = sys::calls() - calls;
    stage.expect_complete(&report)?;
    Ok([adopt, span, calls as f64])
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
