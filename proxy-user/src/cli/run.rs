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

/// Follows the manifests until SIGTERM or SIGINT.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let options = Options::default();
    let options = Options {
        cgroup: args.cgroup.unwrap_or(options.cgroup),
        pin_path: args.pins.pin_path,
        capacities: args.capacities.into(),
        ..options
    };
    let (mut follower, first) = Follower::start(args.manifests.paths)?;
    let dataplane = Dataplane::open(args.manifests.node.as_str(), &options)?;
    let mut agent = Agent { dataplane, retry: RETRY_MIN };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut wait = agent.program(first, true);
        loop {
            let retry = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = term.recv() => break,
                _ = int.recv() => break,
                changes = follower.next() => wait = agent.program(changes, false),
                () = retry => wait = agent.program(Changes::default(), false),
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

impl Agent {
    /// Applies changes; returns how long to wait before another try, if the kernel refused some.
    fn program(&mut self, changes: Changes, first: bool) -> Option<Duration> {
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
                } else {
                    tracing::info!(events, services, stores, frontends, ?took, "applied changes");
                }
                None
            }
            Err(error) => {
                let wait = self.retry;
                self.retry = (wait * 2).min(RETRY_MAX);
                tracing::error!("{error}; what is programmed stays, and the rest is tried again in {wait:?}");
                Some(wait)
            }
        }
    }
}
