//! What this node should hold: everything that the API server, or manifests, say of Services.

use super::{args::DoctorArgs, subject::Subject};
use crate::{
    cli::{
        agent::OwnNode,
        args::RuleArgs,
        problems,
        run_args::{ClusterArgs, RunArgs},
    },
    engine::{Engine, Rules},
    model::Event,
    select::NodePortAddresses,
    source::{
        addresses::AddressFollower,
        kube::{self, KubeSource},
        manifests::ManifestSet,
    },
    writer::{Capacities, Fixed, Limits, MapReader, MemoryMaps, WriteError, Writer},
};
use anyhow::bail;
use std::{convert::Infallible, path::PathBuf, time::Duration};
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
    /// nobody says where. `node` is the node's name as the maps have it.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(args: &DoctorArgs, subject: &Subject, node: &str) -> anyhow::Result<Option<Self>> {
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
        let node = match (own.manifests.is_empty(), node) {
            (false, _) => own.node_name()?,
            (true, "") => named.node_name()?,
            (true, node) => node,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let read = runtime.block_on(Self::gather(&source, node, named));
        // A name that is being looked up has a thread that nobody is to wait for.
        runtime.shutdown_background();
        read.map(Some)
    }

    async fn gather(source: &Source<'_>, node: &str, options: &RunArgs) -> anyhow::Result<Self> {
        let rules = Rules::from(&options.rules);
        let mut events = Vec::new();
        if rules.node_ports != NodePortAddresses::Primary {
            events.push(AddressFollower::start()?.1);
        }
        let (from, complete, listed) = match source {
            Source::Manifests(paths) => from_manifests(paths)?,
            Source::Cluster(args) => from_cluster(args, node).await?,
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
        let mut engine = self.begin(MemoryMaps::new(capacities))?;
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
        let mut engine = self.begin(maps)?;
        engine.sync()?;
        Ok(engine)
    }

    fn begin<W: Writer + MapReader>(&self, maps: W) -> Result<Engine<W>, WriteError> {
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

async fn from_cluster(args: &ClusterArgs, node: &str) -> anyhow::Result<Listed> {
    let options = kube::Options {
        node: node.to_owned(),
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        api_servers: args.api_server.iter().map(ToString::to_string).collect(),
        startup_spread: Duration::ZERO,
        ..kube::Options::default()
    };
    let mut source = KubeSource::start(options).await?;
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
    Ok(("the API server".to_owned(), true, events))
}
