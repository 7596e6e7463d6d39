//! What is wrong with manifests, and with what they ask for, as log lines.

use crate::{
    engine::SyncReport,
    source::manifests::{Problem, Severity},
    table::Conflict,
    view::KeyParts,
};
use proxy_common::abi::Scope;
use std::net::SocketAddr;

/// Logs each problem at its severity; true if one of them is an error.
pub fn log_problems(problems: &[Problem]) -> bool {
    for problem in problems {
        match problem.severity {
            Severity::Info => tracing::info!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
            Severity::Error => tracing::error!("{problem}"),
        }
    }
    problems.iter().any(|problem| problem.severity == Severity::Error)
}

/// Names the service ports that found no room, and those that have found it since.
pub fn log_room(report: &SyncReport) {
    for unplaced in &report.newly_unplaced {
        tracing::error!("{unplaced}; what was programmed stays, and it is tried again when there is room");
    }
    if let Some(full) = &report.node_unplaced {
        tracing::error!(
            "not all that is known of this node fits: {full}; it is tried again with every change"
        );
    }
    for port in &report.newly_placed {
        tracing::info!("service port {port} found room and is programmed");
    }
}

/// Names the frontends that more than one Service claims.
pub fn log_conflicts<'a>(conflicts: impl IntoIterator<Item = &'a Conflict>) {
    for Conflict { key, winner, loser } in conflicts {
        let parts = KeyParts::of(key);
        // The entry that only says what an address is has the same value for both.
        if parts.scope == Scope::Address as u8 {
            continue;
        }
        let address = parts.ip().map_or_else(
            || format!("NodePort {}", parts.port),
            |address| SocketAddr::new(address, parts.port).to_string(),
        );
        tracing::warn!(
            "{address} is claimed by {loser} too, and {winner} has it: a ClusterIP comes first, then a load \
             balancer's address, then the older Service, then the smaller name"
        );
    }
}
