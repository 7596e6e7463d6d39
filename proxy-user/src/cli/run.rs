//! `shunt run`: the agent.

use super::{
    collect::FlowCollection,
    exit::Usage,
    follow::Follower,
    own_node::OwnNode,
    packets::Packets,
    problems,
    run_args::{RunArgs, Source},
    stale::StaleSockets,
};
use crate::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    model::Event,
    select::NodePortAddresses,
    server::{HealthCheckServers, ProxyHealth},
    source::{addresses::AddressFollower, manifests::Changes},
    table::Conflict,
};
use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::signal::unix::{SignalKind, signal};

/// First wait before a failed sync is tried again; doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest wait before a failed sync is tried again.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// After so long without a change, what was freed is given back: at leisure, before anybody needs it.
const IDLE: Duration = Duration::from_secs(1);

/// Looking for Services that claim one frontend means looking at all of them: at leisure too, but where
/// changes never end, every so often.
const CONFLICTS: Duration = Duration::from_secs(10);

/// Follows the manifests until SIGTERM, SIGINT or SIGHUP.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let (node, source) = (args.node_name()?, args.source());
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
    // The one place where sources differ.
    let (mut follower, mut first) = match source {
        Source::Manifests(paths) => Follower::start(paths)?,
        Source::Cluster(_) => {
            return Err(
                Usage("the API server is not followed yet: give --manifests <PATH>...".to_owned()).into()
            );
        }
    };
    let own_node = OwnNode::new(&node, args.rules.zone.as_deref()).with_addresses(&args.rules.node_ip);
    first.events = own_node.first(first.events).collect();
    let mut addresses = None;
    let rules = Rules::from(&args.rules);
    if rules.node_ports != NodePortAddresses::Primary {
        let (follower, event) = AddressFollower::start()?;
        first.events.push(event);
        addresses = Some(follower);
    }
    let packets = Packets::start(&args.packets)?;
    let dataplane = Dataplane::open(node.as_str(), rules.clone(), &options)?;
    let health = Arc::new(ProxyHealth::default());
    let health_checks =
        HealthCheckServers::start(Default::default(), Arc::clone(&health), problems::log_health_checks)?;
    let mut agent = Agent {
        dataplane,
        health,
        health_checks,
        rules,
        own_node,
        retry: RETRY_MIN,
        conflicts: Vec::new(),
        looked: Instant::now(),
        stale: StaleSockets::default(),
        packets,
        flows: FlowCollection::new(Instant::now()),
    };
    runtime.block_on(async {
        let mut next = agent.program(first, true);
        loop {
            let pause = async {
                match next {
                    Next::Retry(at) | Next::Settle(at) => until(Some(at)).await,
                    Next::Nothing => std::future::pending().await,
                }
            };
            let refused = agent.packets.due();
            tokio::select! {
                _ = term.recv() => break,
                _ = int.recv() => break,
                _ = hup.recv() => break,
                changes = follower.next() => next = agent.program(changes, false),
                event = next_addresses(&mut addresses) => {
                    next = agent.program(Changes { events: vec![event], ..Changes::default() }, false);
                }
                devices = agent.packets.changed() => agent.packets.take(devices, &mut agent.dataplane),
                () = until(Some(agent.flows.due())) => agent.flows.step(&mut agent.dataplane),
                () = until(refused) => agent.packets.attach(&mut agent.dataplane),
                () = until(agent.stale.due()) => agent.stale.close(&agent.dataplane, Instant::now()),
                () = pause => next = agent.after_pause(&next),
            }
        }
        tracing::info!("ended; the dataplane goes on with what it has");
        Ok(ExitCode::SUCCESS)
    })
}

/// The next addresses of this node; waits for ever where nobody follows them.
async fn next_addresses(follower: &mut Option<AddressFollower>) -> Event {
    match follower {
        Some(follower) => follower.next().await,
        None => std::future::pending().await,
    }
}

/// Waits until a moment, or for ever.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

struct Agent {
    dataplane: Dataplane,
    health: Arc<ProxyHealth>,
    health_checks: HealthCheckServers,
    rules: Rules,
    own_node: OwnNode,
    /// The next wait after a failure.
    retry: Duration,
    /// Frontends that more than one Service claims, as they were logged.
    conflicts: Vec<Conflict>,
    /// When they were looked for.
    looked: Instant,
    stale: StaleSockets,
    packets: Packets,
    flows: FlowCollection,
}

/// What the agent does if no change comes first. A moment, not a wait: what else it does meanwhile must not put
/// it off.
enum Next {
    /// The kernel refused something: try again then.
    Retry(Instant),
    /// Give back what was freed, if nothing changes until then.
    Settle(Instant),
    /// Wait for a change.
    Nothing,
}

impl Agent {
    fn after_pause(&mut self, next: &Next) -> Next {
        match next {
            Next::Retry(_) => self.program(Changes::default(), false),
            Next::Settle(_) | Next::Nothing => {
                if let Err(error) = self.dataplane.settle() {
                    tracing::warn!("{error}; what was freed waits until somebody needs the room");
                }
                self.look_for_conflicts();
                Next::Nothing
            }
        }
    }

    /// Names each frontend that more than one Service claims, once.
    fn look_for_conflicts(&mut self) {
        let found = self.dataplane.conflicts();
        problems::log_conflicts(found.iter().filter(|conflict| !self.conflicts.contains(conflict)));
        (self.conflicts, self.looked) = (found, Instant::now());
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
        for event in changes.events {
            self.dataplane.apply(self.own_node.amend(event));
        }
        self.health.queued(start);
        let synced = self.dataplane.sync();
        // A sync that failed may have removed backends before it did.
        if first || synced.as_ref().map_or(true, |report| report.stores > 0) {
            self.stale.synced(Instant::now());
        }
        match synced {
            Ok(report) => {
                self.retry = RETRY_MIN;
                self.health.applied();
                self.packets.synced(&mut self.dataplane);
                problems::log_room(&report);
                let took = start.elapsed();
                let (services, stores) = (report.services, report.stores);
                let frontends = report.puts + report.deletes;
                if first {
                    problems::log_missing_node(self.dataplane.engine().cluster(), &self.rules);
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
                self.health_checks.follow(report.health);
                if self.looked.elapsed() > CONFLICTS {
                    self.look_for_conflicts();
                }
                Next::Settle(Instant::now() + IDLE)
            }
            Err(error) => {
                let wait = self.retry;
                self.retry = (wait * 2).min(RETRY_MAX);
                tracing::error!("{error}; what is programmed stays, and the rest is tried again in {wait:?}");
                Next::Retry(Instant::now() + wait)
            }
        }
    }
}
