//! What a source knows of its API server.

use std::time::Duration;

/// Numbers of a Kubernetes source, as they are at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApiSnapshot {
    /// Requests since the start: verb (`list`, `watch`, ...), HTTP status or what went wrong (`200`, `410`, `timeout`), count.
    pub requests: Vec<(&'static str, String, u64)>,
    /// Watches that ended and were begun anew, since the start.
    pub reconnects: u64,
    /// Complete lists that were read after the first, since the start.
    pub relists: u64,
    /// Deletions that the guard against an absurdly small list keeps from being applied, now.
    pub held_back: u64,
    /// Since when nothing was heard of the API server, by a clock that does not jump; `None` until the first answer.
    pub silence: Option<Duration>,
}
