//! Events of the Kubernetes API: what an operator must know, told where `kubectl describe` shows it.
//!
//! ```text
//! agent ──Notice──▶ limit ──▶ body ──▶ post ──▶ API server
//! ```
//!
//! [`EventRecorder`] never waits and never fails: an API server that does not answer costs Events, not traffic. The
//! log has each line all the same.

#![forbid(unsafe_code)]

mod body;
mod limit;
mod notice;
mod post;

pub use notice::{About, Notice, Reason};
pub use post::{EventRecorder, EventSink, Posted};
