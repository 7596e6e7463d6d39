//! An agent in a storm: pods that are replaced ten times a second, beside services that change once a second. What it
//! costs, and how old a change is when the kernel has it. The storm comes from an API server that is never what is
//! waited for; a real one, which takes some hundred writes a second on such a machine, sends what it can.

mod ages;
mod feed;
mod node;
mod server;

use super::{
    Scale,
    scale::{Pace as PlanePace, Peer, Site, Updates},
};
use crate::{
    cluster::SampleCluster,
    footprint::{self, Memory},
    load, plane,
    report::{Figure, Report, Target},
};
use ages::{Ages, Found};
use anyhow::{Result, ensure};
use feed::{Feed, Pace, Template};
use node::Node;
use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Endpoints of every service, in one slice.
const ENDPOINTS: u32 = super::ENDPOINTS;

/// How often each noisy pod is replaced, per second.
const FLAPS: u32 = 10;

/// The age of a change of a quiet service, at most, milliseconds.
const QUIET_AGE: f64 = 50.0;

/// How long the last of the updates may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Bytes of a MiB and of a KiB.
const MIB: f64 = 1_048_576.0;
const KIB: f64 = 1_024.0;

/// How much of everything.
struct Amounts {
    services: u32,
    noisy: u32,
    quiet: u32,
    /// The storm, and the part in which as much is sent as is taken.
    lasts: [Duration; 2],
    /// Updates of a real API server, and how many a second.
    real: (u32, u32),
}

impl Amounts {
    const fn of(scale: Scale) -> Self {
        let seconds = Duration::from_secs;
        match scale {
            Scale::Small => Self {
                services: 500,
                noisy: 100,
                quiet: 50,
                lasts: [seconds(5), seconds(2)],
                real: (100, 50),
            },
            Scale::Full => Self {
                services: 5_000,
                noisy: 500,
                quiet: 100,
                lasts: [seconds(60), seconds(10)],
                real: (3_000, 150),
            },
        }
    }
}

/// Runs the scenario with the agent's program.
///
/// # Errors
/// Where the agent does not start, or the maps do not hold what was sent last in the end.
pub fn run(scale: Scale, agent: &Path) -> Result<Report> {
    let about =
        "an agent, pods that are replaced ten times a second and quiet services that change once a second";
    let (mut report, amounts) = (Report::new("storm", about), Amounts::of(scale));
    let cluster = SampleCluster::new(amounts.services, ENDPOINTS);
    let (mut node, server) = Node::start(agent, &cluster)?;
    let mut feed = server.feed()?;
    // Quiet ones stand between the noisy ones in every list.
    let step = amounts.services / (amounts.noisy + amounts.quiet);
    let is_quiet = |place: u32| place.is_multiple_of(amounts.noisy / amounts.quiet + 1);
    let (quiet, noisy): (Vec<u32>, Vec<u32>) =
        (0..amounts.noisy + amounts.quiet).partition(|place| is_quiet(*place));
    let [noisy, quiet] = [noisy, quiet].map(|places| {
        places.into_iter().map(|place| Template::new(&cluster, place * step)).collect::<Vec<_>>()
    });
    let numbers = |of: &[Template]| of.iter().map(|template| template.service).collect::<Vec<_>>();
    let ages = Ages::new(numbers(&noisy).into_iter(), numbers(&quiet).into_iter());
    let maps = node.maps()?;
    thread::scope(|scope| {
        let follower = scope.spawn(|| ages.follow(&maps));
        let rate = noisy.len() as u32 * FLAPS;
        let paces = [
            (Pace::Rate(rate), format!("{rate} updates a second")),
            (Pace::Full, "as many updates as it takes".to_owned()),
        ];
        let blow = || {
            for ((pace, what), lasts) in paces.into_iter().zip(amounts.lasts) {
                let storm = Storm { noisy: &noisy, quiet: &quiet, pace, lasts, what };
                storm.measure(&mut node, &mut feed, &ages, amounts.services, &mut report)?;
                eprintln!("storm: {} done", storm.what);
            }
            anyhow::Ok(())
        };
        let blown = blow();
        ages.close();
        let followed = follower.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        blown.and(followed)
    })?;
    drop((feed, node));
    match plane::tools() {
        Ok(_) => real(agent, &cluster, &amounts, &mut report)?,
        Err(missing) => eprintln!("storm: nothing of a real API server: {missing}"),
    }
    Ok(report)
}

/// A storm, and who is in it.
struct Storm<'a> {
    noisy: &'a [Template],
    quiet: &'a [Template],
    pace: Pace,
    lasts: Duration,
    what: String,
}

impl Storm<'_> {
    fn measure(
        &self,
        node: &mut Node,
        feed: &mut Feed,
        ages: &Ages,
        services: u32,
        report: &mut Report,
    ) -> Result<()> {
        let (log, processor) = (node.log()?, footprint::processor_time(&node.cgroup)?);
        let start = Instant::now();
        let sent = feed.storm(self.noisy, self.quiet, self.pace, self.lasts, ages)?;
        let took = start.elapsed().as_secs_f64();
        while ages.open() > 0 {
            ensure!(start.elapsed() < self.lasts + LIMIT, "{} updates are not programmed", ages.open());
            thread::sleep(Duration::from_millis(1));
        }
        let processor = footprint::processor_time(&node.cgroup)? - processor;
        let memory = Memory::of(node.process())?;
        let now = node.log()?;
        let written = &now[log.len()..];
        let mut figure = |what: &str, unit: &str, samples: Vec<f64>| {
            report.figures.push(Figure::new(format!("{}: {what}", self.what), services, unit, samples));
        };
        figure("sent", "1/s", vec![f64::from(sent) / took]);
        figure("processor time of the agent", "%", vec![processor / took * 100.0]);
        figure("processor time of the agent per update", "us", vec![processor / f64::from(sent) * 1e6]);
        figure("resident at most, mapped arrays apart", "MiB", vec![memory.own_peak() as f64 / MIB]);
        figure("resident afterwards, mapped arrays apart", "MiB", vec![memory.own() as f64 / MIB]);
        figure("lines of the agent's log", "", vec![written.lines().count() as f64]);
        figure("the agent's log", "KiB", vec![written.len() as f64 / KIB]);
        let found = ages.take();
        let superseded = found.iter().map(|found| found.superseded).sum::<usize>() as f64;
        figure("superseded before they were programmed", "%", vec![superseded / f64::from(sent) * 100.0]);
        let [noisy, quiet] = found.map(|Found { ages, .. }| ages);
        figure("age of a change, noisy services", "ms", noisy);
        let worst = quiet.iter().copied().fold(0.0, f64::max);
        figure("age of a change, quiet services", "ms", quiet);
        if self.pace != Pace::Full {
            let what = format!("{}: age of a change of a quiet service, the oldest", self.what);
            report.targets.push(Target::at_most(what, "ms", QUIET_AGE, worst));
        }
        Ok(())
    }
}

/// What a real API server can send: each update is of another service.
fn real(agent: &Path, cluster: &SampleCluster, amounts: &Amounts, report: &mut Report) -> Result<()> {
    let plane = plane::Plane::start()?;
    load::load(&plane, cluster)?;
    let mut site = Site::start(Peer::Shunt, agent, &plane)?;
    super::scale::wait(&mut site, cluster)?;
    let (updates, rate) = amounts.real;
    let before = footprint::processor_time(site.cgroup())?;
    let latencies =
        Updates::new(cluster).run(&plane, &mut site, updates.min(amounts.services), PlanePace::Rate(rate))?;
    let taken = footprint::processor_time(site.cgroup())? - before;
    let mut figure = |what: &str, unit, samples| {
        let what = format!("a real API server, {rate} updates a second: {what}");
        report.figures.push(Figure::new(what, amounts.services, unit, samples));
    };
    figure("processor time of the agent per update", "us", vec![taken / f64::from(updates) * 1e6]);
    figure("left the API server to programmed", "ms", latencies.from_seen);
    figure("sent by its author to programmed", "ms", latencies.from_sent);
    Ok(())
}
