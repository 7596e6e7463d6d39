//! `shunt run`: starts the agent.

use super::{
    agent::{Agent, Incoming, OwnNode, Packets, Parts, Source, Teller},
    run_args::{self, RunArgs},
};
use crate::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    model::Event,
    select::NodePortAddresses,
    server::{HealthCheckServers, ProxyHealth},
    source::addresses::AddressFollower,
};
use std::{process::ExitCode, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};

/// Follows the cluster until SIGTERM, SIGINT or SIGHUP.
pub fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(follow(args))
}

async fn follow(args: RunArgs) -> anyhow::Result<ExitCode> {
    // A signal during the start is heeded as soon as that is done.
    let [mut term, mut int, mut hup] =
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
    let node = args.node_name()?;
    let rules = Rules::from(&args.rules);
    // What is wrong with the command line or with files is said before the kernel is touched.
    let connection = Source::connect(args.source()).await?;
    let packets = Packets::start(&args.packets)?;
    let mut addresses = None;
    let mut first = Incoming { unfinished: true, ..Incoming::default() };
    if rules.node_ports != NodePortAddresses::Primary {
        let (follower, event) = AddressFollower::start()?;
        first.events.push(event);
        addresses = Some(follower);
    }
    let options = Options::default();
    let options = Options {
        cgroup: args.cgroup.unwrap_or(options.cgroup),
        pin_path: args.pins.pin_path,
        capacities: args.capacities.into(),
        ..options
    };
    let dataplane = Dataplane::open(node.as_str(), rules.clone(), &options)?;
    let teller = Teller::default();
    let health = Arc::new(ProxyHealth::default());
    let told = teller.clone();
    let health_checks =
        HealthCheckServers::start(Default::default(), Arc::clone(&health), move |news| told.health_checks(news))?;
    let mut source = connection.start(&dataplane);
    let own_node = OwnNode::new(&node, args.rules.zone.as_deref());
    let parts = Parts { dataplane, health, health_checks, teller, rules, own_node, packets };
    let mut agent = Agent::new(parts);
    agent.program(first);
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hup.recv() => break,
            incoming = source.next() => agent.program(incoming),
            event = next_addresses(&mut addresses) => agent.program(Incoming::event(event)),
            () = agent.work() => {}
        }
    }
    tracing::info!("ended; the dataplane goes on with what it has");
    Ok(ExitCode::SUCCESS)
}

/// The next addresses of this node; waits for ever where nobody follows them.
async fn next_addresses(follower: &mut Option<AddressFollower>) -> Event {
    match follower {
        Some(follower) => follower.next().await,
        None => std::future::pending().await,
    }
}
