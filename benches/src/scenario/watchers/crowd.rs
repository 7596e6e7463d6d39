//! Many agents in one process, as far as an API server can tell: each has the library's source, with connections of
//! its own, and the cluster's state behind it.

use anyhow::{Context as _, Result, bail};
use shunt::{
    cluster::Cluster,
    lab::Namespace,
    model::Event,
    source::kube::{KubeSource, Options},
};
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, task::JoinSet};

/// How often is looked for what is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// Agents that run until this is dropped.
pub struct Crowd {
    size: usize,
    seen: Arc<Mutex<Seen>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What they have.
#[derive(Default)]
struct Seen {
    /// When each was first synced.
    synced: Vec<Instant>,
    /// When each had a Service and an EndpointSlice of that name: those that begin with [`MARKER`].
    markers: HashMap<String, Vec<Instant>>,
}

/// How the names of Services and slices begin that tell how far a crowd is.
pub const MARKER: &str = "marker-";

impl Crowd {
    /// Starts them in a network namespace, all at once.
    pub fn start(namespace: &Namespace, kubeconfig: &Path, size: usize, jitter: bool) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let options = Options { kubeconfig: Some(kubeconfig.to_owned()), jitter, ..Options::default() };
        let (place, all) = (shunt::lab::Place::from(namespace), Arc::clone(&seen));
        let thread = thread::Builder::new().name("crowd".to_owned());
        let thread = thread.spawn(move || {
            place.run(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let mut agents = JoinSet::new();
                    for number in 0..size {
                        let node = format!("node-{number}");
                        agents.spawn(follow(Options { node, ..options.clone() }, Arc::clone(&all)));
                    }
                    tokio::select! {
                        _ = stopped => Ok(()),
                        Some(ended) = agents.join_next() => ended.context("an agent")?,
                    }
                })
            })?
        })?;
        Ok(Self { size, seen, stop: Some(stop), thread: Some(thread) })
    }

    /// When the last one was synced for the first time.
    pub fn synced(&mut self, limit: Duration) -> Result<Instant> {
        self.last(limit, |seen| &seen.synced[..]).context("first sync")
    }

    /// When the last one had both objects of a name that begins with [`MARKER`].
    pub fn have(&mut self, marker: &str, limit: Duration) -> Result<Instant> {
        self.last(limit, |seen| seen.markers.get(marker).map_or(&[], Vec::as_slice))
            .with_context(|| marker.to_owned())
    }

    fn last(&mut self, limit: Duration, of: impl Fn(&Seen) -> &[Instant]) -> Result<Instant> {
        let end = Instant::now() + limit;
        loop {
            {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                let moments = of(&seen);
                if moments.len() >= self.size
                    && let Some(last) = moments.iter().max()
                {
                    return Ok(*last);
                }
                if Instant::now() > end {
                    bail!("{} of {} after {limit:?}", moments.len(), self.size);
                }
            }
            if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
                self.end()?;
                bail!("the agents ended");
            }
            thread::sleep(LOOK);
        }
    }

    fn end(&mut self) -> Result<()> {
        // Dropped, it ends them as well.
        self.stop = None;
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Whoever waited for something was told.
        let _ = self.end();
    }
}

/// One agent, for ever.
async fn follow(options: Options, seen: Arc<Mutex<Seen>>) -> Result<()> {
    let (mut cluster, mut synced) = (Cluster::new(options.node.as_str()), false);
    let mut half = BTreeSet::new();
    let mut source = KubeSource::start(options).await?;
    loop {
        let batch = source.next().await;
        let now = Instant::now();
        let mut markers = Vec::new();
        for event in batch.events {
            let name = match &event {
                Event::ServiceApplied(service) => Some((&service.name.name, true)),
                Event::SliceApplied(slice) => Some((&slice.name.name, false)),
                _ => None,
            };
            if let Some((name, is_service)) = name
                && name.starts_with(MARKER)
                && !half.remove(&(name.to_string(), !is_service))
            {
                half.insert((name.to_string(), is_service));
            } else if let Some((name, _)) = name
                && name.starts_with(MARKER)
            {
                markers.push(name.to_string());
            }
            cluster.apply(event);
        }
        // What an engine would take.
        while cluster.next_dirty().is_some() {}
        if !markers.is_empty() || (batch.synced && !synced) {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if batch.synced && !synced {
                seen.synced.push(now);
            }
            for marker in markers {
                seen.markers.entry(marker).or_default().push(now);
            }
        }
        synced = batch.synced;
    }
}
