//! 200 agents and a real API server that is killed and comes back: what it is asked then, by agents as they are and
//! by the same ones without jitter; what comes to each; and how long until the last one is up to date again.

mod audit;
mod crowd;

use super::Scale;
use crate::{
    api::{Api, Call},
    cluster::SampleCluster,
    footprint::Memory,
    load, objects,
    plane::{LINK, Plane},
    report::{Figure, Report, Target},
};
use anyhow::{Context as _, Result, ensure};
use crowd::{Crowd, MARKER};
use http::Method;
use serde_json::Value;
use shunt::{
    lab::Namespace,
    model::{EndpointSlice, ObjectName, Service},
    source::kube::Kind,
};
use std::{
    fs, process, thread,
    time::{Duration, Instant},
};

/// The collection of namespaces.
const NAMESPACES: &str = "/api/v1/namespaces";

/// How clients of the library's source call themselves.
const AGENT: &str = "shunt/";

/// How long all of them may take.
const LIMIT: Duration = Duration::from_secs(180);

/// The share of the lists within a second that is left, at most.
const SHARE: f64 = 0.2;

/// How much of everything.
struct Amounts {
    services: u32,
    agents: usize,
    /// Seconds that the API server stays away before it starts again: a restart, and a longer absence.
    away: &'static [u64],
    rounds: usize,
}

impl Amounts {
    const fn of(scale: Scale) -> Self {
        match scale {
            Scale::Small => Self { services: 200, agents: 50, away: &[0], rounds: 1 },
            Scale::Full => Self { services: 1_000, agents: 200, away: &[0, 30], rounds: 1 },
        }
    }
}

/// What was found, a value for each round.
#[derive(Default)]
struct Found {
    lists: Vec<f64>,
    peak_lists: Vec<f64>,
    peak_requests: Vec<f64>,
    bytes_first: Vec<f64>,
    bytes_again: Vec<f64>,
    first: Vec<f64>,
    away: Vec<f64>,
    last: Vec<f64>,
    memory: Vec<f64>,
}

/// Runs the scenario.
///
/// # Errors
/// Where the control plane does not start, or an agent is not up to date in time.
pub fn run(scale: Scale) -> Result<Report> {
    let about = "agents (source and cluster state) and a real API server that is killed and comes back, 10 endpoints per service";
    let (mut report, amounts) = (Report::new("watchers", about), Amounts::of(scale));
    let plane = Plane::start()?;
    let cluster = SampleCluster::new(amounts.services, super::ENDPOINTS);
    load::load(&plane, &cluster)?;
    let agents = Namespace::new("agents")?;
    plane.join(&agents, 1)?;
    for away in amounts.away.iter().copied().map(Duration::from_secs) {
        let mut found = [Found::default(), Found::default()];
        for round in 0..amounts.rounds {
            for (jitter, found) in [false, true].into_iter().zip(&mut found) {
                let marker = format!("{MARKER}{}-{round}-{jitter}", away.as_secs());
                measure(&plane, &agents, &amounts, away, jitter, &marker, found)
                    .with_context(|| format!("{} agents, jitter: {jitter}", amounts.agents))?;
            }
        }
        let [without, with] = found;
        let most = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
        let least = without.peak_lists.iter().copied().fold(f64::INFINITY, f64::min);
        // The worst of one against the best of the other.
        let share = most(&with.peak_lists) / least;
        let when = if away.is_zero() { "restarted".to_owned() } else { format!("away for {away:?}") };
        for (how, found) in [("without jitter", without), ("as they are", with)] {
            found.report(how, &when, &amounts, &mut report);
        }
        let what = format!(
            "{} agents, API server {when}: most lists within a second, of those without jitter",
            amounts.agents
        );
        report.targets.push(Target::at_most(what, "", SHARE, share));
    }
    Ok(report)
}

/// A crowd, from its start over the end of the API server to when it is up to date again.
fn measure(
    plane: &Plane,
    agents: &Namespace,
    amounts: &Amounts,
    away: Duration,
    jitter: bool,
    marker: &str,
    found: &mut Found,
) -> Result<()> {
    let kubeconfig = plane.kubeconfig()?;
    let size = amounts.agents as f64;
    let (memory, bytes, start) = (Memory::of(process::id())?.now, received(agents)?, Instant::now());
    let mut crowd = Crowd::start(agents, &kubeconfig, amounts.agents, jitter)?;
    found.first.push((crowd.synced(LIMIT)? - start).as_secs_f64());
    thread::sleep(Duration::from_secs(1));
    found.bytes_first.push((received(agents)? - bytes) as f64 / size);
    found.memory.push(Memory::of(process::id())?.now.saturating_sub(memory) as f64 / size);

    let (log, bytes) = (audit::length(&plane.audit_log())?, received(agents)?);
    // Of a kind that nobody follows: the server that comes back knows of nothing before it, and every watch has to begin
    // with a list (410).
    write(plane, vec![(NAMESPACES.to_owned(), objects::namespace(marker))])?;
    plane.control().kill();
    let killed = Instant::now();
    thread::sleep(away);
    plane.control().start_again()?;
    let back = Instant::now();
    found.away.push((back - killed).as_secs_f64());
    mark(plane, marker)?;
    let last = crowd.have(marker, LIMIT)?;
    found.last.push(last.saturating_duration_since(back).as_secs_f64());
    // Other kinds may come later.
    let (all, end) = (amounts.agents * Kind::ALL.len(), Instant::now() + LIMIT);
    let requests = loop {
        let requests = audit::requests(&plane.audit_log(), log, AGENT)?;
        if requests.lists.len() >= all {
            break requests;
        }
        ensure!(Instant::now() < end, "{} lists of {all}: watches went on", requests.lists.len());
        thread::sleep(Duration::from_millis(500));
    };
    found.bytes_again.push((received(agents)? - bytes) as f64 / size);
    drop(crowd);
    found.lists.push(requests.lists.len() as f64);
    found.peak_lists.push(audit::peak(&requests.lists) as f64);
    found.peak_requests.push(audit::peak(&requests.all) as f64);
    Ok(())
}

/// Makes a Service and a slice of it that tell how far agents are.
fn mark(plane: &Plane, name: &str) -> Result<()> {
    let cluster = SampleCluster::new(1, 1);
    let (service, slice) = (cluster.service(0), cluster.slice_with(0, 0));
    let object = ObjectName::new(service.name.namespace.as_str(), name);
    let (of_service, service) = objects::service(&Service { name: object.clone(), ..service });
    let slice = EndpointSlice { name: object, service: name.into(), ..slice };
    let (of_slice, slice) = objects::slice(&slice, None);
    write(plane, vec![(of_service.collection, service), (of_slice.collection, slice)])
}

/// Posts objects to collections.
fn write(plane: &Plane, objects: Vec<(String, Value)>) -> Result<()> {
    let kubeconfig = plane.kubeconfig()?;
    plane.namespace().run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let api = Api::new(&kubeconfig).await?;
            for (path, body) in objects {
                api.call(&Call { method: Method::POST, path, body }).await?;
            }
            Ok(())
        })
    })?
}

/// Bytes that the agents' device has received: with all headers, TLS and acknowledgements.
fn received(agents: &Namespace) -> Result<u64> {
    // The network namespace of the thread that reads.
    let text = agents.run(|| fs::read_to_string("/proc/thread-self/net/dev"))?.context("read(net/dev)")?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix(LINK)?.strip_prefix(':'));
    let bytes = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    bytes.with_context(|| format!("no {LINK} in net/dev"))
}

impl Found {
    fn report(self, how: &str, when: &str, amounts: &Amounts, report: &mut Report) {
        let Self { lists, peak_lists, peak_requests, bytes_first, bytes_again, first, away, last, memory } =
            self;
        let agents = amounts.agents;
        let mut figure = |what: &str, unit, samples: Vec<f64>| {
            let what = format!("{agents} agents {how}, {when}: {what}");
            report.figures.push(Figure::new(what, amounts.services, unit, samples));
        };
        let kib = |samples: Vec<f64>| samples.into_iter().map(|bytes| bytes / 1024.0).collect();
        figure("start of all at once to the last one synced", "s", first);
        figure("received by each until then", "KiB", kib(bytes_first));
        figure("memory of each", "KiB", kib(memory));
        figure("end of the API server to its return", "s", away);
        figure("API server back to the last one up to date", "s", last);
        figure("received by each from its end to then", "KiB", kib(bytes_again));
        figure("lists then, of all", "", lists);
        figure("lists then, at most within a second", "", peak_lists);
        figure("requests then, at most within a second", "", peak_requests);
    }
}
