//! Problems of manifests as log lines.

use crate::{
    engine::SyncReport,
    source::manifests::{Problem, Severity},
};

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
    for port in &report.newly_placed {
        tracing::info!("service port {port} found room and is programmed");
    }
}
