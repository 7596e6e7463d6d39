//! An agent on a node of a cluster of 10,000 Services with ten endpoints each, which a real API server holds, and
//! kube-proxy (nftables) on another node of it, in turns: how long until all is programmed, what it costs, and how
//! soon a changed slice is.
//!
//! What is measured is the programs as they are installed, from outside: when the kernel has what they wrote, what
//! the kernel accounts to them, and what a watch of the bench's own hears at the same time.

mod fill;
mod peer;
mod sight;
mod site;
mod tracker;
mod updates;

use super::Scale;
use crate::{
    cluster::SampleCluster,
    footprint::{self, Memory},
    load,
    plane::Plane,
    report::{Figure, Report, Target},
};
use anyhow::{Context as _, Result};
pub(super) use fill::wait;
pub(super) use peer::Peer;
pub(super) use site::Site;
use std::{path::Path, thread, time::Duration};
use updates::Latencies;
pub(super) use updates::{Pace, Updates};

/// Endpoints of every service, in one slice.
const ENDPOINTS: u32 = super::ENDPOINTS;

/// Slice updates a second.
const RATE: u32 = 20;

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// What the agent's own memory should not pass, MiB: ever, and once all is programmed.
const PEAK: f64 = 64.0;
const STEADY: f64 = 40.0;

/// How much of everything.
struct Amounts {
    services: u32,
    /// Who is measured, one after the other.
    turns: &'static [Peer],
    /// Updates at [`RATE`].
    updates: u32,
    /// Updates one at a time, with a pause before each.
    lone: u32,
    /// After so long without a change memory is steady.
    rest: Duration,
}

impl Amounts {
    const fn of(scale: Scale) -> Self {
        match scale {
            Scale::Small => Self {
                services: 300,
                turns: &[Peer::Shunt, Peer::KubeProxy],
                updates: 100,
                lone: 5,
                rest: Duration::from_secs(3),
            },
            Scale::Full => Self {
                services: 10_000,
                turns: &[Peer::Shunt, Peer::KubeProxy, Peer::Shunt],
                updates: 2_000,
                lone: 20,
                rest: Duration::from_secs(10),
            },
        }
    }
}

/// What was found about a peer, a value for each round, or for each update.
#[derive(Default)]
struct Found {
    first: Vec<f64>,
    last: Vec<f64>,
    fill_cpu: Vec<f64>,
    peak: Vec<f64>,
    steady: Vec<f64>,
    mapped: Vec<f64>,
    tools: Vec<f64>,
    update_cpu: Vec<f64>,
    many: Latencies,
    lone: Latencies,
}

/// Runs the scenario with the agent's program.
///
/// # Errors
/// Where the control plane or a peer does not start, programs something else than the cluster, or is not done in
/// time.
pub fn run(scale: Scale, agent: &Path) -> Result<Report> {
    let about = "an agent and kube-proxy (nftables, minSyncPeriod 1s) beside a real API server, 10 endpoints per service";
    let (mut report, amounts) = (Report::new("scale", about), Amounts::of(scale));
    let plane = Plane::start()?;
    let cluster = SampleCluster::new(amounts.services, ENDPOINTS);
    let took = load::load(&plane, &cluster)?;
    report.figures.push(Figure::new(
        "Services and slices created in the API server",
        amounts.services,
        "s",
        vec![took],
    ));
    let mut updates = Updates::new(&cluster);
    let mut found = [Found::default(), Found::default()];
    for peer in amounts.turns {
        let what = || format!("{peer} at {} services", amounts.services);
        measure(*peer, agent, &plane, &cluster, &amounts, &mut updates, &mut found[*peer as usize])
            .with_context(what)?;
        eprintln!("scale: {peer} done");
    }
    let [shunt, kube_proxy] = found;
    let steady = shunt.steady.iter().copied().fold(0.0, f64::max);
    let peak = shunt.peak.iter().copied().fold(0.0, f64::max);
    for (peer, found) in Peer::BOTH.into_iter().zip([shunt, kube_proxy]) {
        found.report(peer, amounts.services, &mut report);
    }
    let what =
        |which| format!("memory of the agent, {which}, mapped arrays apart, {} services", amounts.services);
    report.targets.push(Target::at_most(what("at most"), "MiB", PEAK, peak));
    report.targets.push(Target::at_most(what("steady"), "MiB", STEADY, steady));
    Ok(report)
}

/// A peer from its start to its end.
fn measure(
    peer: Peer,
    agent: &Path,
    plane: &Plane,
    cluster: &SampleCluster,
    amounts: &Amounts,
    updates: &mut Updates,
    found: &mut Found,
) -> Result<()> {
    let mut site = Site::start(peer, agent, plane)?;
    let filled = wait(&mut site, cluster)?;
    found.first.push(filled.first.as_secs_f64());
    found.last.push(filled.last.as_secs_f64());
    found.fill_cpu.push(footprint::processor_time(site.cgroup())?);
    fill::verify(&site, cluster)?;
    thread::sleep(amounts.rest);
    let mut steady = Memory::of(site.process())?.own();
    let before = footprint::processor_time(site.cgroup())?;
    let many = updates.run(plane, &mut site, amounts.updates, Pace::Rate(RATE))?;
    let taken = footprint::processor_time(site.cgroup())? - before;
    found.update_cpu.push(taken * 1_000.0 / f64::from(amounts.updates));
    found.many.extend(many);
    found.lone.extend(updates.run(plane, &mut site, amounts.lone, Pace::Lone)?);
    fill::verify(&site, cluster)?;
    thread::sleep(amounts.rest);
    let memory = Memory::of(site.process())?;
    // Whatever updates left behind counts as well.
    steady = steady.max(memory.own());
    found.peak.push(memory.own_peak() as f64 / MIB);
    found.steady.push(steady as f64 / MIB);
    found.mapped.push(memory.mapped as f64 / MIB);
    found.tools.push(site.tools_peak() as f64 / MIB);
    Ok(())
}

impl Found {
    fn report(self, peer: Peer, services: u32, report: &mut Report) {
        let Self { first, last, fill_cpu, peak, steady, mapped, tools, update_cpu, many, lone } = self;
        let mut figure = |what: &str, unit, samples| {
            report.figures.push(Figure::new(format!("{peer}: {what}"), services, unit, samples));
        };
        figure("start to the first Service programmed", "s", first);
        figure("start to the last", "s", last);
        figure("processor time until then", "s", fill_cpu);
        figure("resident at most, mapped arrays apart", "MiB", peak);
        figure("resident, steady, mapped arrays apart", "MiB", steady);
        figure("mapped arrays", "MiB", mapped);
        if tools.iter().any(|peak| *peak > 0.0) {
            figure("resident at most, of a tool that it runs", "MiB", tools);
        }
        figure("processor time of 1000 slice updates, 20 a second", "s", update_cpu);
        for (how, latencies) in [("20 a second", many), ("one at a time", lone)] {
            figure(
                &format!("slice update, {how}: left the API server to programmed"),
                "ms",
                latencies.from_seen,
            );
            figure(
                &format!("slice update, {how}: sent by its author to programmed"),
                "ms",
                latencies.from_sent,
            );
        }
    }
}
