//! Says what an operator must know, in the log and as Events.

use super::notices;
use crate::{
    cli::problems,
    engine::SyncReport,
    recorder::{EventRecorder, Notice, Reason},
    server::{News, ServerNews},
    table::Conflict,
};
use std::sync::Arc;

/// Whom the agent and its servers tell. Without an API server that is the log alone.
#[derive(Clone, Debug, Default)]
pub struct Teller(pub Option<Arc<EventRecorder>>);

impl Teller {
    /// Has Events written; the log is the caller's.
    pub fn record(&self, notices: impl IntoIterator<Item = Notice>) {
        if let Some(recorder) = &self.0 {
            notices.into_iter().for_each(|notice| recorder.record(notice));
        }
    }

    /// Maps that have grown; what found no room in a sync, and what has found it since.
    pub fn room(&self, report: &SyncReport) {
        problems::log_growth(report);
        problems::log_room(report);
        self.record(notices::growth(report).into_iter().chain(notices::room(report)));
    }

    /// Frontends that more than one Service claims.
    pub fn conflicts<'a>(&self, conflicts: impl IntoIterator<Item = &'a Conflict> + Clone) {
        problems::log_conflicts(conflicts.clone());
        self.record(notices::conflicts(conflicts));
    }

    /// A server of the agent's that has no port, or has it after all.
    pub fn server(&self, reason: Reason, news: &ServerNews) {
        match news {
            ServerNews::Failed { .. } => {
                tracing::warn!("{news}; it is tried again every few seconds");
                self.record([Notice::node(reason, news.to_string())]);
            }
            ServerNews::Mended { .. } => tracing::info!("{news} after all"),
        }
    }

    /// Health checks that nobody can ask for, and those that are answered after all.
    pub fn health_checks(&self, news: &News) {
        problems::log_health_checks(news);
        self.record(notices::health_checks(news));
    }
}
