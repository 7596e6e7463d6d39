//! `shunt run`: starts the agent.

use super::{
    agent::{Agent, Incoming, OwnNode, Packets, Parts, Prepared, Teller, api_snapshot},
    config::Configuration,
    run_args::RunArgs,
};
use crate::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    kernel::Machine,
    model::Event,
    recorder::{EventRecorder, Notice, Reason},
    select::NodePortAddresses,
    server::{
        HealthCheckServers, HealthServer, KernelReader, Metrics, MetricsPages, MetricsServer, ProxyHealth,
        ServerOptions,
    },
    source::{addresses::AddressFollower, kube::KubeStats},
};
use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::SystemTime};
use tokio::signal::unix::{SignalKind, signal};

/// Follows the cluster until SIGTERM, SIGINT or SIGHUP.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(follow(args));
    // A name that is being looked up, or an exec plugin that hangs, has a thread that nobody is to wait for.
    runtime.shutdown_background();
    ended
}

async fn follow(args: RunArgs) -> anyhow::Result<ExitCode> {
    // A signal during the start is heeded as soon as that is done.
    let [mut term, mut int, mut hup, mut confirm, mut audit] = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
        signal(SignalKind::user_defined1())?,
        signal(SignalKind::user_defined2())?,
    ];
    let node = args.node_name()?;
    let rules = Rules::from(&args.rules);
    let source = Prepared::new(args.source(), node).await?;
    let packets = Packets::start(&args.packets)?;
    let mut addresses = None;
    let mut first = Incoming::default();
    if rules.node_ports != NodePortAddresses::Primary {
        let (follower, event) = AddressFollower::start()?;
        first.events.push(event);
        addresses = Some(follower);
    }
    let (limits, capacities) = args.capacities.on(&Machine::here());
    let options = Options::default();
    let options = Options {
        cgroup: args.cgroup.clone().unwrap_or(options.cgroup),
        pin_path: args.pins.pin_path.clone(),
        capacities,
        limits,
        ..options
    };
    let dataplane = Dataplane::open(node, rules.clone(), &options)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), node, "begun: programs are in place, lists follow");
    let mut source = source.start(&dataplane);
    let recorder = source.cluster().map(|cluster| EventRecorder::start(node.to_owned(), cluster.events()));
    let teller = Teller(recorder.map(Arc::new));
    teller.record(ignored(&args.configuration));
    let health = Arc::new(ProxyHealth::default());
    let told = teller.clone();
    let health_checks = HealthCheckServers::start(Default::default(), Arc::clone(&health), move |news| {
        told.health_checks(news);
    })?;
    let metrics = Metrics::new(SystemTime::now());
    let _healthz = match args.servers.healthz_address.0 {
        Some(address) => Some(answer_probes(address, &health, &metrics, &teller)?),
        None => None,
    };
    let stats = source.cluster().map(crate::source::kube::KubeSource::stats);
    let _metrics = match args.servers.metrics_address.0 {
        Some(address) => {
            let pages = pages(&options, stats, &args.configuration);
            Some(answer_scrapes(address, &metrics, pages, &teller)?)
        }
        None => None,
    };
    let has_nodes = source.cluster().is_some();
    let own_node = OwnNode::new(node, args.rules.zone.as_deref()).with_addresses(&args.rules.node_ip);
    let parts =
        Parts { dataplane, health, health_checks, metrics, teller, rules, own_node, has_nodes, packets };
    let mut agent = Agent::new(parts);
    agent.program(first);
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hup.recv() => break,
            _ = confirm.recv() => source.confirm(),
            _ = audit.recv() => agent.audit(),
            incoming = source.next() => agent.program(incoming),
            event = next_addresses(&mut addresses) => agent.program(Incoming::event(event)),
            () = agent.work() => {
                if let Some(error) = agent.lost() {
                    anyhow::bail!("{error}; the dataplane is that one's now");
                }
            }
        }
    }
    tracing::info!("ended; the dataplane goes on with what it has");
    Ok(ExitCode::SUCCESS)
}

/// /healthz, /livez and /readyz.
fn answer_probes(
    address: SocketAddr,
    health: &Arc<ProxyHealth>,
    metrics: &Metrics,
    teller: &Teller,
) -> std::io::Result<HealthServer> {
    let teller = teller.clone();
    let tell = move |news: &_| teller.server(Reason::FailedToStartProxierHealthcheck, news);
    HealthServer::start(address, ServerOptions::default(), Arc::clone(health), metrics.clone(), tell)
}

/// /metrics and its neighbours.
fn answer_scrapes(
    address: SocketAddr,
    metrics: &Metrics,
    pages: MetricsPages,
    teller: &Teller,
) -> std::io::Result<MetricsServer> {
    let teller = teller.clone();
    let tell = move |news: &_| teller.server(Reason::FailedToStartMetricServer, news);
    MetricsServer::start(address, ServerOptions::default(), metrics.clone(), pages, tell)
}

fn pages(options: &Options, stats: Option<Arc<KubeStats>>, configuration: &Configuration) -> MetricsPages {
    MetricsPages {
        kernel: Some(KernelReader::new(options)),
        api: stats.map(|stats| Box::new(move || api_snapshot(&stats)) as Box<_>),
        configz: configuration.json().to_string(),
    }
}

/// What stands in configuration files and is not obeyed, where that matters: all of it once, since Events are rationed.
fn ignored(configuration: &Configuration) -> Option<Notice> {
    let matters = configuration.ignored.iter().filter(|ignored| ignored.matters);
    let lines: Vec<_> = matters.map(ToString::to_string).collect();
    (!lines.is_empty()).then(|| Notice::node(Reason::ConfigIgnored, lines.join("; ")))
}

/// The next addresses of this node; waits for ever where nobody follows them.
async fn next_addresses(follower: &mut Option<AddressFollower>) -> Event {
    match follower {
        Some(follower) => follower.next().await,
        None => std::future::pending().await,
    }
}
