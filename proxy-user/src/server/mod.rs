//! What a node answers over HTTP.
//!
//! ```text
//! engine ──HealthReport──▶ health_check (one thread, one listener per Service and address) ──▶ load balancers
//!    └─────queued, applied──────▶ ProxyHealth ──────────────▲
//!                                     └──▶ probes (a thread) /healthz /livez /readyz ──▶ load balancers, kubelet
//! agent ──what it did──▶ Metrics ──▶ metrics (a thread) /metrics /healthz /proxyMode /configz ──▶ Prometheus
//! kernel ──counters, attachments, at each scrape──▲
//! ```
//!
//! * [`HealthCheckServers`] answers load balancers that ask whether this node has ready endpoints of a
//!   Service (`healthCheckNodePort`).
//! * [`ProxyHealth`] knows whether the kernel follows the cluster; [`HealthServer`] tells it.
//! * [`Metrics`] knows what the agent did; [`MetricsServer`] tells it.

#![forbid(unsafe_code)]

mod health_check;
mod http;
mod kept;
mod listen;
mod metrics;
mod plain;
mod probes;
mod proxy_health;

pub use health_check::{HealthCheckServers, News, Options, Problem, Trouble};
pub use kept::{ServerNews, ServerOptions};
pub use metrics::{
    ApiSnapshot, Format, KernelReader, KernelSnapshot, Metrics, MetricsPages, MetricsServer, PROXY_MODE,
};
pub use probes::{HealthServer, Probe};
pub use proxy_health::{HealthStatus, NodeEligibility, ProxyHealth};

pub(crate) use probes::Timestamp;
