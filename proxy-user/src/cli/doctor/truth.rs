//! What this node should hold: everything that the API server, or manifests, say of Services.

use super::{args::DoctorArgs, subject::Subject};
use crate::{
    cli::{
        agent::OwnNode,
        args::RuleArgs,
        problems,
        run_args::{ClusterArgs, RunArgs},
    },
    engine::{Engine, Rules, SyncReport},
    kernel::PinnedMaps,
    model::Event,
    select::NodePortAddresses,
    source::{
        addresses::AddressFollower,
        kube::{self, Credentials, Pinned},
        manifests::ManifestSet,
    },
    view::{decode, decode_node},
    writer::{Capacities, Fixed, Limits, MapReader, MemoryMaps, WriteError, Writer},
};
use anyhow::bail;
use std::{collections::BTreeSet, convert::Infallible, fmt::Display, path::PathBuf, time::Duration};
use tokio::time::timeout;

/// The longest that the API server's first lists may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// All that is to be programmed.
#[derive(Debug)]
pub struct Truth {
    /// Whom it is from, for people.
    pub from: String,
    /// All of it could be read.
    pub complete: bool,
    node: String,
    rules: Rules,
    events: Vec<Event>,
}

/// Where it is read.
enum Source<'a> {
    Manifests(&'a [PathBuf]),
    Cluster(&'a ClusterArgs),
}

impl Truth {
    /// Reads it: from where the command line says, else from the manifests of the agent that runs. `None` where
    /// nobody says where. An API server's lists are measured by what the maps hold, as those of a starting agent are.
    ///
    /// # Errors
    /// Where it cannot be read, or an API server does not know this node, or lacks too much of what the maps hold.
    pub fn read(args: &DoctorArgs, subject: &Subject, maps: &PinnedMaps) -> anyhow::Result<Option<Self>> {
        let own = &args.run;
        let agent = subject.agent.as_ref();
        let is_cluster = own.cluster.kubeconfig.is_some() || !own.cluster.api_server.is_empty();
        let source = match agent {
            _ if !own.manifests.is_empty() => Source::Manifests(&own.manifests),
            _ if is_cluster => Source::Cluster(&own.cluster),
            Some(agent) if !agent.manifests.is_empty() => Source::Manifests(&agent.manifests),
            _ => return Ok(None),
        };
        let named = agent.map_or(own, |agent| agent);
        let pinned = pinned(maps)?;
        let known = decode_node(maps).0;
        let node = match (own.manifests.is_empty(), known.as_str()) {
            (false, _) => own.node_name()?,
            (true, "") => named.node_name()?,
            (true, node) => node,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let read = runtime.block_on(Self::gather(&source, node, named, pinned));
        // A name that is being looked up has a thread that nobody is to wait for.
        runtime.shutdown_background();
        read.map(Some)
    }

    async fn gather(
        source: &Source<'_>,
        node: &str,
        options: &RunArgs,
        pinned: Pinned,
    ) -> anyhow::Result<Self> {
        let rules = Rules::from(&options.rules);
        let mut events = Vec::new();
        if rules.node_ports != NodePortAddresses::Primary {
            events.push(AddressFollower::start()?.1);
        }
        let (from, complete, listed) = match source {
            Source::Manifests(paths) => from_manifests(paths)?,
            Source::Cluster(args) => from_cluster(args, node, pinned).await?,
        };
        let RuleArgs { zone, node_ip, .. } = &options.rules;
        let mut own = OwnNode::new(node, zone.as_deref()).with_addresses(node_ip);
        events.extend(own.first());
        events.extend(listed.into_iter().map(|event| own.amend(event)));
        Ok(Self { from, complete, node: node.to_owned(), rules, events })
    }

    /// The same in maps in memory, as large as it takes.
    ///
    /// # Errors
    /// Never, as memory holds them.
    pub fn in_memory(&self, capacities: &Capacities) -> Result<Engine<MemoryMaps>, WriteError> {
        let mut engine = self.engine(MemoryMaps::new(capacities))?;
        engine.limit(Limits { memory: u64::MAX, cpus: 1, fixed: Fixed::default() });
        engine.sync_growing(|maps, wanted| {
            maps.grow(wanted);
            Ok::<_, Infallible>(Duration::ZERO)
        })?;
        Ok(engine)
    }

    /// Makes maps true to it.
    ///
    /// # Errors
    /// Of the call that failed.
    pub fn program<W: Writer + MapReader>(&self, maps: W) -> Result<Engine<W>, WriteError> {
        let mut engine = self.engine(maps)?;
        engine.sync()?;
        Ok(engine)
    }

    /// The same with maps that grow where they must, up to `limits`, by what `grow` does.
    ///
    /// # Errors
    /// Of the call that failed. What found no room is in the engine and in the report.
    pub fn program_growing<W: Writer + MapReader, E: Display>(
        &self,
        maps: W,
        limits: Limits,
        grow: impl FnMut(&mut W, &Capacities) -> Result<Duration, E>,
    ) -> Result<(Engine<W>, SyncReport), WriteError> {
        let mut engine = self.engine(maps)?;
        engine.limit(limits);
        let report = engine.sync_growing(grow)?;
        Ok((engine, report))
    }

    /// It has been told, and has written nothing.
    fn engine<W: Writer + MapReader>(&self, maps: W) -> Result<Engine<W>, WriteError> {
        let mut engine = Engine::new(self.node.as_str(), self.rules.clone(), maps)?;
        engine.hold(!self.complete);
        self.events.iter().cloned().for_each(|event| engine.apply(event));
        Ok(engine)
    }
}

type Listed = (String, bool, Vec<Event>);

fn from_manifests(paths: &[PathBuf]) -> anyhow::Result<Listed> {
    let (_, changes) = ManifestSet::load(paths)?;
    let broken = problems::log_problems(&changes.problems);
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    Ok((format!("manifests of {}", names.join(", ")), !broken, changes.events))
}

/// What the maps hold, for an API server's first lists to be measured by.
fn pinned(maps: &PinnedMaps) -> Result<Pinned, WriteError> {
    let ports = decode(maps)?;
    let services: BTreeSet<_> =
        ports.iter().filter_map(|port| Some(port.id.as_ref()?.service.clone())).collect();
    let endpoints = ports.iter().map(|port| port.cluster.len() + port.local.len()).sum();
    Ok(Pinned { services: services.len(), endpoints })
}

async fn from_cluster(args: &ClusterArgs, node: &str, pinned: Pinned) -> anyhow::Result<Listed> {
    let options = kube::Options {
        node: node.to_owned(),
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        api_servers: args.api_server.iter().map(ToString::to_string).collect(),
        startup_spread: Duration::ZERO,
        relist_guard: args.relist_guard,
        ..kube::Options::default()
    };
    let mut source = Credentials::read(options).await?.over(pinned).start();
    let (mut events, mut last) = (Vec::new(), None);
    let lists = async {
        loop {
            let batch = source.next().await;
            events.extend(batch.events);
            last = batch.problems.last().map(ToString::to_string).or(last.take());
            if batch.synced {
                break;
            }
        }
    };
    if timeout(PATIENCE, lists).await.is_err() {
        bail!("the API server's lists were not complete within {PATIENCE:?}: {}", last.unwrap_or_default());
    }
    // Every agent is on a node; whoever does not know it is another cluster, or has lost its data.
    if !events.iter().any(|event| matches!(event, Event::NodeApplied(known) if known.name == node)) {
        bail!("the API server has no Node {node:?}: it is another cluster's, or has lost what it knew");
    }
    Ok(("the API server".to_owned(), true, events))
}
