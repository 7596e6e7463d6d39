//! What a source knows of its API server.

use std::time::Duration;

/// Numbers of a Kubernetes source, as they are at one moment; totals are since the start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApiSnapshot {
    /// Requests by verb (`list`, `watch`) and by what came of them (`accepted`, `expired`, `no_answer`, ...).
    pub requests: Vec<(&'static str, &'static str, u64)>,
    /// Connections that were begun anew after one that failed.
    pub reconnects: u64,
    /// Lists that were begun after the first complete one.
    pub relists: u64,
    /// Changes to another API server.
    pub failovers: u64,
    /// Deletions that the guard against an absurdly small list keeps from being applied, now.
    pub held_back: u64,
    /// Objects that could not be read.
    pub refused_objects: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// Since when nothing was heard of the API server, by a clock that does not jump; `None` until the first answer.
    pub silence: Option<Duration>,
}
