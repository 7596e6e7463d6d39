//! The API server as a source.
//!
//! ```text
//!            ┌ watch (one task per kind) ───────────────┐
//! servers ──▶│ body ─▶ lines, items ─▶ follow ──▶ News  │──▶ KubeSource::next ──▶ Batch
//! failover   │                          │  ▲            │     limiter
//! connect    │      requests, waits ◀───┘  └ known,     │
//!            │                               guard,     │
//!            └───────────────────────────────backoff ───┘
//! ```

mod backoff;
mod connect;
mod decode;
mod ending;
mod error;
mod events;
mod follow;
mod guard;
mod items;
mod kind;
mod known;
mod limiter;
mod lines;
mod news;
mod notice;
mod options;
mod problem;
mod random;
mod request;
mod servers;
mod source;
mod stats;
mod watch;

pub use error::KubeError;
pub use events::KubeEvents;
pub use kind::Kind;
pub use notice::{Confirmed, Notice};
pub use options::{Options, Pinned};
pub use problem::{About, Problem, Severity};
pub use source::{Batch, KubeSource};
pub use stats::{KubeSnapshot, KubeStats, Outcome, Verb};
