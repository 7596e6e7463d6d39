//! What is wrong with manifests, and with what they ask for, as log lines.

use crate::{
    cluster::Cluster,
    engine::{Growth, Rules, SyncReport},
    select::NodePortAddresses,
    server::News,
    source::{Severity, manifests::Problem},
    table::{Conflict, Full},
    view::KeyParts,
    writer::{Fixed, Size},
};
use proxy_common::abi::Scope;
use std::{collections::BTreeSet, net::SocketAddr};

/// Logs something that a source has to say.
pub fn log(severity: Severity, what: impl std::fmt::Display) {
    match severity {
        Severity::Info => tracing::info!("{what}"),
        Severity::Warning => tracing::warn!("{what}"),
        Severity::Error => tracing::error!("{what}"),
    }
}

/// Logs each problem at its severity; true if one of them is an error.
pub fn log_problems(problems: &[Problem]) -> bool {
    problems.iter().for_each(|problem| log(problem.severity, problem));
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// Service ports and Services that are named of those that one thing is wrong with; the others are counted.
pub const NAMED: usize = 10;

/// What to do about a full map: one that grows has met the limit of memory, one of a chosen size keeps it.
pub fn remedy(full: &Full, fixed: Option<&Fixed>) -> &'static str {
    let size = Size::of_map(full.map);
    if let (Some(fixed), Some(size)) = (fixed, size)
        && fixed.get(size).is_none()
    {
        return "Raise --map-memory";
    }
    match size {
        Some(Size::Frontends) => "Raise --max-frontends",
        Some(Size::Services | Size::NameCells) => "Raise --max-services",
        Some(Size::Slots | Size::Backends) => "Raise --max-endpoints",
        _ => "Use fewer source ranges",
    }
}

/// What a growth has changed: `service ports 4096 to 16384, ...`.
pub fn growth_text(Growth { before, after, took }: &Growth) -> String {
    let changed = Size::all().filter(|size| before.get(*size) != after.get(*size));
    let changed = changed.map(|size| format!("{} {} to {}", size.name(), before.get(size), after.get(size)));
    format!("maps have grown in {took:?}: {}", changed.collect::<Vec<_>>().join(", "))
}

/// Says what maps have grown, and what kept them from it.
pub fn log_growth(report: &SyncReport) {
    for growth in &report.growths {
        tracing::info!("{}", growth_text(growth));
    }
    if let Some(why) = &report.growth_failed {
        tracing::error!(
            "maps could not be made larger: {why}; those that are there go on, and it is tried again in a while"
        );
    }
}

/// Says so where NodePorts are to answer on addresses that nobody has named.
pub fn log_missing_node(cluster: &Cluster, rules: &Rules) {
    let known = cluster.node().is_some_and(|node| !node.addresses.is_empty());
    if rules.node_ports == NodePortAddresses::Primary && !known && cluster.has_node_ports() {
        tracing::warn!(
            "no Node {} with addresses is known, so NodePorts answer on loopback addresses at most: add the Node, or \
             give --nodeport-addresses all",
            cluster.node_name()
        );
    }
}

/// Names the service ports that found no room, and those that have found it since.
pub fn log_room(report: &SyncReport) {
    let maps: BTreeSet<_> = report.newly_unplaced.iter().map(|unplaced| unplaced.full).collect();
    for full in maps {
        let of_map = || report.newly_unplaced.iter().filter(|unplaced| unplaced.full == full);
        for unplaced in of_map().take(NAMED) {
            tracing::error!("{unplaced}");
        }
        let count = of_map().count();
        tracing::warn!(
            "{full}: {count} service ports do not fit wholly. What was programmed stays, and they are tried again \
             when there is room. {} for more of it",
            remedy(&full, report.fixed.as_ref())
        );
    }
    if let Some(full) = &report.node_unplaced {
        tracing::error!(
            "not all that is known of this node fits: {full}; it is tried again with every change"
        );
    }
    for port in report.newly_placed.iter().take(NAMED) {
        tracing::info!("service port {port} found room and is programmed");
    }
    if report.newly_placed.len() > NAMED {
        tracing::info!(
            "{} more service ports found room and are programmed",
            report.newly_placed.len() - NAMED
        );
    }
}

/// Names the health checks that nobody can ask for, and those that are answered after all.
pub fn log_health_checks(news: &News) {
    for problem in news.failed.iter().take(NAMED) {
        tracing::warn!("{problem}; load balancers turn elsewhere, and it is tried again every few seconds");
    }
    for (service, port) in news.mended.iter().take(NAMED) {
        tracing::info!("health checks of {service} on port {port} are answered after all");
    }
    for (lines, what) in [(news.failed.len(), "not answered"), (news.mended.len(), "answered after all")] {
        if lines > NAMED {
            tracing::warn!("health checks of {} more Services are {what}", lines - NAMED);
        }
    }
}

/// Names the frontends that more than one Service claims.
pub fn log_conflicts<'a>(conflicts: impl IntoIterator<Item = &'a Conflict>) {
    let mut conflicts = conflicts.into_iter();
    for conflict in conflicts.by_ref().take(NAMED) {
        tracing::warn!("{}", conflict_text(conflict));
    }
    let others = conflicts.count();
    if others > 0 {
        tracing::warn!("{others} more frontends are claimed by more than one Service");
    }
}

/// What is said of a frontend that more than one Service claims.
pub fn conflict_text(Conflict { key, winner, loser }: &Conflict) -> String {
    let parts = KeyParts::of(key);
    let address = parts.ip().map_or_else(
        || format!("NodePort {}", parts.port),
        |address| SocketAddr::new(address, parts.port).to_string(),
    );
    format!(
        "{address} is claimed by {loser} too, and {winner} has it: a ClusterIP comes first, then a load balancer's \
         address, then the older Service, then the smaller name"
    )
}

/// Whether a conflict is worth a word. The entry that only says what an address is has the same value for both.
pub fn is_conflict(conflict: &Conflict) -> bool {
    KeyParts::of(&conflict.key).scope != Scope::Address as u8
}
