//! `shunt run`: the agent.

use super::{args::RunArgs, follow::Follower, problems};
use crate::{
    dataplane::{Dataplane, Options},
    source::manifests::Changes,
};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// First wait before a failed sync is tried again; doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest wait before a failed sync is tried again.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// After so long without a change, what was freed is given back: at leisure, before anybody needs it.
const IDLE: Duration = Duration::from_secs(1);

/// Follows the manifests until SIGTERM, SIGINT or SIGHUP.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let options = Options::default();
    let options = Options {
        cgroup: args.cgroup.unwrap_or(options.cgroup),
        pin_path: args.pins.pin_path,
        capacities: args.capacities.into(),
        ..options
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // A signal during the start is heeded as soon as that is done.
    let (mut term, mut int, mut hup) = runtime.block_on(async {
        let [term, int, hup] = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        anyhow::Ok((signal(term)?, signal(int)?, signal(hup)?))
    })?;
    let (mut follower, first) = Follower::start(args.manifests.paths)?;
    let dataplane = Dataplane::open(args.manifests.node.as_str(), &options)?;
    let mut agent = Agent { dataplane, retry: RETRY_MIN };
    runtime.block_on(async {
        let mut next = agent.program(first, true);
        loop {
            let pause = async {
                match next {
                    Next::Retry(wait) => tokio::time::sleep(wait).await,
                    Next::Settle => tokio::time::sleep(IDLE).await,
                    Next::Nothing => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = term.recv() => break,
                _ = int.recv() => break,
                _ = hup.recv() => break,
                changes = follower.next() => next = agent.program(changes, false),
                () = pause => next = agent.after_pause(&next),
            }
        }
        tracing::info!("ended; the dataplane goes on with what it has");
        Ok(ExitCode::SUCCESS)
    })
}

struct Agent {
    dataplane: Dataplane,
    /// The next wait after a failure.
    retry: Duration,
}

/// What the agent does if no change comes first.
enum Next {
    /// The kernel refused something: try again after this long.
    Retry(Duration),
    /// Give back what was freed, once nothing changes for a while.
    Settle,
    /// Wait for a change.
    Nothing,
}

impl Agent {
    fn after_pause(&mut self, next: &Next) -> Next {
        match next {
            Next::Retry(_) => self.program(Changes::default(), false),
            Next::Settle | Next::Nothing => {
                if let Err(error) = self.dataplane.settle() {
                    tracing::warn!("{error}; what was freed waits until somebody needs the room");
                }
                Next::Nothing
            }
        }
    }

    /// Applies changes.
    fn program(&mut self, changes: Changes, first: bool) -> Next {
        let start = Instant::now();
        problems::log_problems(&changes.problems);
        if let Some(complete) = changes.complete {
            self.dataplane.hold(!complete);
            if first && !complete {
                tracing::warn!(
                    "not all manifests could be read: what a former agent left stays until they can"
                );
            }
        }
        let events = changes.events.len();
        changes.events.into_iter().for_each(|event| self.dataplane.apply(event));
        match self.dataplane.sync() {
            Ok(report) => {
                self.retry = RETRY_MIN;
                problems::log_room(&report);
                let took = start.elapsed();
                let (services, stores) = (report.services, report.stores);
                let frontends = report.puts + report.deletes;
                if first {
                    tracing::info!(
                        events,
                        services,
                        stores,
                        frontends,
                        ?took,
                        "ready: connections to Services are balanced"
                    );
                } else if events + services + stores + frontends > 0 {
                    tracing::info!(events, services, stores, frontends, ?took, "applied changes");
                }
                Next::Settle
            }
            Err(error) => {
                let wait = self.retry;
                self.retry = (wait * 2).min(RETRY_MAX);
                tracing::error!("{error}; what is programmed stays, and the rest is tried again in {wait:?}");
                Next::Retry(wait)
            }
        }
    }
}
