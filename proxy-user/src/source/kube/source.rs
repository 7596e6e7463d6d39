//! The source: a watcher for each kind, and what they hand on as one.

use super::{
    credentials::Credentials,
    error::KubeError,
    events::KubeEvents,
    follow::{Follow, Limits},
    kind::Kind,
    limiter::Limiter,
    notice::Notice,
    options::Options,
    problem::Problem,
    servers::Servers,
    stats::KubeStats,
    watch::{Delivery, Watcher},
};
use crate::model::{Event, Family};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

/// Deliveries that may wait. Each holds what one piece of an answer held, so this bounds what is in memory.
const WAITING: usize = 8;

/// The API server as a source. Ends its watches when dropped.
pub struct KubeSource {
    deliveries: mpsc::Receiver<Delivery>,
    confirmed: watch::Sender<u64>,
    /// Kinds whose first list was not complete yet.
    missing: BTreeSet<Kind>,
    limiter: Limiter,
    stats: Arc<KubeStats>,
    servers: Arc<Servers>,
    /// Problems of the start.
    first: Vec<Problem>,
    /// They end with it.
    watchers: JoinSet<()>,
}

/// What is ready, in an order in which it can be applied.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batch {
    /// Changes.
    pub events: Vec<Event>,
    /// When the oldest of them was read, by the runtime's clock.
    pub came: Option<Instant>,
    /// What the operator should hear of; a flood is already cut.
    pub problems: Vec<Problem>,
    /// When the changes happened that changed slices tell of, for `network_programming_duration_seconds`.
    pub triggers: Vec<(Family, SystemTime)>,
    /// What an operator must know, for Events; each is also among the problems.
    pub notices: Vec<Notice>,
    /// All kinds were complete once: the kernel may be written. Stays true.
    pub synced: bool,
}

impl KubeSource {
    /// Begins to follow the API server. Credentials are read, connections are not waited for: where no server answers,
    /// the source goes on asking.
    ///
    /// # Errors
    /// Credentials that cannot be read or make no sense; see [`KubeError`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O.
    pub async fn start(options: Options) -> Result<Self, KubeError> {
        Ok(Credentials::read(options).await?.start())
    }

    pub(super) fn follow(credentials: Credentials) -> Self {
        let Credentials { options, servers, mut random, problems } = credentials;
        let (sender, deliveries) = mpsc::channel(WAITING);
        let (confirmed, confirmation) = watch::channel(0);
        let stats = Arc::new(KubeStats::default());
        let options = Arc::new(options);
        // All kinds begin together: what is spread is nodes.
        let wait = random.up_to(options.startup_spread);
        let mut watchers = JoinSet::new();
        for kind in Kind::ALL {
            let watcher = Watcher {
                follow: Follow::new(kind, limits(kind, &options)),
                options: Arc::clone(&options),
                servers: Arc::clone(&servers),
                stats: Arc::clone(&stats),
                random: random.child(),
                deliveries: sender.clone(),
                confirmed: confirmation.clone(),
            };
            watchers.spawn(watcher.run(wait));
        }
        Self {
            deliveries,
            confirmed,
            missing: Kind::ALL.into(),
            limiter: Limiter::new(Instant::now()),
            stats,
            servers,
            first: problems,
            watchers,
        }
    }

    /// Waits for something, and gives all that is ready. Cancel-safe: what was not given comes next time.
    ///
    /// # Panics
    /// Where one of its tasks has.
    pub async fn next(&mut self) -> Batch {
        let mut batch = Batch::default();
        if self.first.is_empty() {
            tokio::select! {
                Some(delivery) = self.deliveries.recv() => self.take(delivery, &mut batch),
                // None ends of itself while we listen. A program that goes on without one would go stale unnoticed.
                Some(Err(error)) = self.watchers.join_next() => if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                },
                else => std::future::pending().await,
            }
        } else {
            batch.problems.append(&mut self.first);
        }
        while let Ok(delivery) = self.deliveries.try_recv() {
            self.take(delivery, &mut batch);
        }
        batch.synced = self.missing.is_empty();
        batch
    }

    /// Applies what is held back: an operator believes the list.
    pub fn confirm(&self) {
        self.confirmed.send_modify(|count| *count += 1);
    }

    /// Where Events go: the server that is asked now.
    #[must_use]
    pub fn events(&self) -> KubeEvents {
        KubeEvents::new(Arc::clone(&self.servers))
    }

    /// Counters, also after the source is gone.
    #[must_use]
    pub fn stats(&self) -> Arc<KubeStats> {
        Arc::clone(&self.stats)
    }

    fn take(&mut self, Delivery { kind, came, mut news }: Delivery, batch: &mut Batch) {
        if !news.events.is_empty() {
            batch.came = Some(batch.came.map_or(came, |former| former.min(came)));
        }
        batch.events.append(&mut news.events);
        batch.triggers.append(&mut news.triggers);
        batch.notices.append(&mut news.notices);
        let now = Instant::now();
        let problems = news.problems.into_iter();
        batch.problems.extend(problems.filter_map(|problem| self.limiter.pass(problem, now)));
        if news.complete {
            self.missing.remove(&kind);
        }
    }
}

fn limits(kind: Kind, options: &Options) -> Limits {
    let before = match kind {
        Kind::Services => options.pinned.services,
        // How many slices they came from is not known; that there was one is.
        Kind::EndpointSlices => options.pinned.endpoints.min(1),
        Kind::Node | Kind::ServiceCidrs => 0,
    };
    let (base, cap) = options.backoff;
    Limits {
        // A base of nothing would be a busy loop.
        backoff: (base.max(Duration::from_millis(1)), cap.max(Duration::from_millis(1))),
        watch: options.watch,
        relist_spread: options.relist_spread,
        absent: options.absent,
        guard: (options.relist_guard, options.confirm_after),
        before,
        started: options.started,
    }
}
