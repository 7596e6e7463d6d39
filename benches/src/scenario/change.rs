//! Event to published change: one endpoint of a slice of ten removed and added back in turn, from
//! the decoded object in hand to the store that the next connect sees.

use super::{ENDPOINTS, Scale};
use crate::{
    clock::Stopwatch,
    cluster::SampleCluster,
    random::Random,
    report::{Figure, Report, Target},
    stage::Stage,
};
use anyhow::{Context as _, Result, ensure};
use shunt::model::Event;

const SAME: &str = "the same service each time";
const ANY: &str = "a random service each time";
const GRACE: &str = "grace period, once for all that was freed";

/// Changes of one size and kind in a round: as many backends are freed as the maps have to spare.
const CHANGES: usize = 4_000;

/// A filled stage with what was measured on it.
struct Subject {
    stage: Stage,
    random: Random,
    same: Vec<f64>,
    any: Vec<f64>,
    grace: Vec<f64>,
}

/// Runs the scenario.
///
/// # Errors
/// Where a stage cannot be made, or a change is not what it should be.
pub fn run(scale: Scale) -> Result<Report> {
    let about = "one endpoint removed or added: decoded object in hand to sync() returned";
    let mut report = Report::new("change", about);
    let clock = Stopwatch::calibrated();
    let subject = |services| {
        let stage = Stage::filled(SampleCluster::new(services, ENDPOINTS))?;
        let random = Random::new(u64::from(services));
        Ok(Subject { stage, random, same: Vec::new(), any: Vec::new(), grace: Vec::new() })
    };
    let mut subjects = scale.sizes().into_iter().map(subject).collect::<Result<Vec<_>>>()?;
    for round in 0..scale.rounds() {
        for subject in &mut subjects {
            subject.round(round, scale.times(CHANGES), &clock)?;
        }
    }
    for Subject { stage, same, any, grace, .. } in subjects {
        let services = stage.cluster.services();
        report.figures.push(Figure::new(SAME, services, "ns", same));
        report.figures.push(Figure::new(ANY, services, "ns", any));
        report.figures.push(Figure::new(GRACE, services, "ns", grace));
    }
    targets(&mut report, scale)?;
    Ok(report)
}

fn targets(report: &mut Report, scale: Scale) -> Result<()> {
    let [least, _, most] = scale.sizes();
    for what in [SAME, ANY] {
        let (small, large) = (report.median(what, least)?, report.median(what, most)?);
        let ratio = format!("change, {what}, {most} services : {least} services");
        report.targets.push(Target::at_most(ratio, "", 1.5, large / small));
        let span = format!("change, {what}, {most} services");
        report.targets.push(Target::at_most(span, "ns", 2_000.0, large));
    }
    Ok(())
}

impl Subject {
    fn round(&mut self, round: usize, changes: usize, clock: &Stopwatch) -> Result<()> {
        let services = self.stage.cluster.services();
        for turn in 0..changes / 2 {
            let endpoint = (turn + round) as u32 % ENDPOINTS;
            for with in [false, true] {
                let span = self.toggle(services / 2, endpoint, with, clock)?;
                self.same.push(span);
            }
        }
        // Every removal first and every addition afterwards: whatever of a service the first had
        // brought into the caches is gone when the second comes, in a cluster that does not fit there.
        let mut chosen = Vec::new();
        while chosen.len() < changes / 2 {
            let mut some: Vec<u32> = (0..services).collect();
            self.random.shuffle(&mut some);
            some.truncate(changes / 2 - chosen.len());
            for with in [false, true] {
                for service in &some {
                    let span = self.toggle(*service, service % ENDPOINTS, with, clock)?;
                    self.any.push(span);
                }
            }
            chosen.extend(some);
        }
        // Freed backends wait for a grace period, which an engine asks for when a map is full.
        let mut settled = Ok(());
        self.grace.push(clock.time(|| settled = self.stage.engine.settle()));
        Ok(settled?)
    }

    /// Nanoseconds of one change.
    fn toggle(&mut self, service: u32, endpoint: u32, with: bool, clock: &Stopwatch) -> Result<f64> {
        let Stage { engine, cluster, .. } = &mut self.stage;
        let slice = if with {
            cluster.slice_with(service, endpoint)
        } else {
            cluster.slice_without(service, endpoint)
        };
        let (event, mut synced) = (Event::SliceApplied(slice), None);
        let span = clock.time(|| {
            engine.apply(event);
            synced = Some(engine.sync());
        });
        let synced = synced.context("not synced")??;
        // The last slot leaves no hole to fill: two stores; a local endpoint is in both sets: five.
        let as_meant = synced.services == 1 && (2..=5).contains(&synced.stores) && synced.puts == 0;
        ensure!(as_meant, "a change was something else: {synced:?}");
        Ok(span)
    }
}
