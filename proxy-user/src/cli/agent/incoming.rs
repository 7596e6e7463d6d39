//! What the agent is told of the cluster, whoever tells it.

use super::follow::Follower;
use crate::{
    cli::{
        problems,
        run_args::{self, ClusterArgs},
    },
    dataplane::Dataplane,
    model::{Event, Family},
    recorder::{Notice, Reason},
    server::ApiSnapshot,
    source::{
        kube::{self, Batch, Credentials, KubeSource, KubeStats, Pinned},
        manifests::Changes,
    },
};
use std::time::{Instant, SystemTime};

/// What has changed.
#[derive(Default)]
pub struct Incoming {
    /// In an order in which they can be applied.
    pub events: Vec<Event>,
    /// When the oldest of them came to this process.
    pub came: Option<Instant>,
    /// Every object has been told once: the kernel may be written. Once said, it stays so.
    pub listed: bool,
    /// Whether all that is listed could be read, where that is another answer than before: if not, what a former agent has
    /// left and nobody has named stays.
    pub complete: Option<bool>,
    /// When endpoints changed, by the annotation of those who changed them.
    pub triggers: Vec<(Family, SystemTime)>,
    /// What an operator must know, beside the log.
    pub notices: Vec<Notice>,
}

impl Incoming {
    /// Something that the node itself has noticed.
    pub fn event(event: Event) -> Self {
        Self { events: vec![event], came: Some(Instant::now()), ..Self::default() }
    }
}

/// Who is to tell it, before the kernel is touched: what is wrong with files and credentials is known by now.
pub enum Prepared {
    /// Files, followed by a thread; and what was read of them.
    Manifests(Follower, Changes),
    /// An API server, whose credentials could be read.
    Cluster(Box<Credentials>),
}

impl Prepared {
    /// Reads manifests or credentials. An API server is not asked yet.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub async fn new(source: run_args::Source, node: &str) -> anyhow::Result<Self> {
        match source {
            run_args::Source::Manifests(paths) => {
                let (follower, first) = Follower::start(paths)?;
                Ok(Self::Manifests(follower, first))
            }
            run_args::Source::Cluster(args) => {
                Ok(Self::Cluster(Box::new(Credentials::read(options(args, node)).await?)))
            }
        }
    }

    /// Begins. Where a former agent's maps serve meanwhile, the API server is asked at a moment drawn by chance, and its
    /// first lists are measured by what is in the maps.
    pub fn start(self, dataplane: &Dataplane) -> Source {
        match self {
            Self::Manifests(follower, first) => Source::Manifests(follower, Some(first)),
            Self::Cluster(credentials) => {
                let services = dataplane.adopted_services();
                let endpoints = dataplane.engine().usage().backends as usize;
                Source::Cluster(Box::new(credentials.over(Pinned { services, endpoints }).start()))
            }
        }
    }
}

fn options(args: ClusterArgs, node: &str) -> kube::Options {
    kube::Options {
        node: node.to_owned(),
        kubeconfig: args.kubeconfig,
        context: args.context,
        api_servers: args.api_server.iter().map(ToString::to_string).collect(),
        startup_spread: args.startup_spread.0,
        relist_guard: args.relist_guard,
        ..kube::Options::default()
    }
}

/// Who tells it.
pub enum Source {
    /// Files, and what was read of them at first.
    Manifests(Follower, Option<Changes>),
    /// An API server.
    Cluster(Box<KubeSource>),
}

impl Source {
    /// The next changes. Cancel-safe.
    pub async fn next(&mut self) -> Incoming {
        match self {
            Self::Manifests(follower, first) => {
                let changes = match first.take() {
                    Some(changes) => changes,
                    None => follower.next().await,
                };
                changes.into()
            }
            Self::Cluster(source) => source.next().await.into(),
        }
    }

    /// What an API server's list lacks is deleted, although that is so much that it was held back.
    pub fn confirm(&self) {
        match self {
            Self::Manifests(..) => {
                tracing::info!("SIGUSR1 confirms lists of an API server; none is followed");
            }
            Self::Cluster(source) => source.confirm(),
        }
    }

    /// The API server, if one is followed.
    pub fn cluster(&self) -> Option<&KubeSource> {
        match self {
            Self::Manifests(..) => None,
            Self::Cluster(source) => Some(source),
        }
    }
}

impl From<Changes> for Incoming {
    fn from(Changes { events, problems, complete }: Changes) -> Self {
        problems::log_problems(&problems);
        if complete == Some(false) {
            tracing::warn!("not all manifests could be read: what a former agent left stays until they can");
        }
        let came = Some(Instant::now());
        Self { events, came, listed: true, complete, ..Self::default() }
    }
}

impl From<Batch> for Incoming {
    fn from(Batch { events, came, problems, triggers, notices, synced }: Batch) -> Self {
        problems.iter().for_each(|problem| problems::log(problem.severity, problem));
        let notices = notices.iter().map(notice).collect();
        Self { events, came, listed: synced, triggers, notices, ..Self::default() }
    }
}

fn notice(notice: &kube::Notice) -> Notice {
    let reason = match notice {
        kube::Notice::HeldBack { .. } => Reason::ListHeldBack,
        kube::Notice::Released { .. } => Reason::ListReleased,
        kube::Notice::Forbidden { .. } => Reason::ListForbidden,
    };
    Notice::node(reason, notice.to_string())
}

/// What metrics say of the API server.
pub fn api_snapshot(stats: &KubeStats) -> ApiSnapshot {
    let now = stats.snapshot();
    let requests =
        now.requests.iter().map(|(verb, outcome, count)| (verb.as_str(), outcome.as_str(), *count));
    ApiSnapshot {
        requests: requests.collect(),
        reconnects: now.reconnects,
        relists: now.relists,
        failovers: now.failovers,
        held_back: now.held_back,
        refused_objects: now.refused_objects,
        bytes: now.bytes,
        silence: now.last_contact.map(|last| Instant::now().saturating_duration_since(last)),
    }
}
