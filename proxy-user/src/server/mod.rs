//! What a node answers over HTTP.
//!
//! ```text
//! engine ──HealthReport──▶ health_check (one thread, one listener per Service and address) ──▶ load balancers
//!    └─────queued, applied──────▶ ProxyHealth ──────────────▲
//! ```
//!
//! * [`HealthCheckServers`] answers load balancers that ask whether this node has ready endpoints of a
//!   Service (`healthCheckNodePort`).
//! * [`ProxyHealth`] knows whether the kernel follows the cluster.

#![forbid(unsafe_code)]

mod health_check;
mod http;
mod listen;
mod proxy_health;

pub use health_check::{HealthCheckServers, News, Options, Problem, Trouble};
pub use proxy_health::ProxyHealth;
