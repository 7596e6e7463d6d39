//! Metrics: what the agent did, fed by it, and what the kernel says, read as somebody asks. `docs/metrics.md`
//! explains each.
//!
//! Nothing here is global. A scrape reads atomics, and maps that are opened for reading beside the agent's; the agent's
//! loop waits for it no longer than it takes to copy the buckets of a histogram.

mod api;
mod decisions;
mod exposition;
mod kernel;
mod kube_proxy;
mod own;
mod page;
mod process;
mod server;
mod state;
mod text;

pub use api::ApiSnapshot;
pub use kernel::{KernelReader, KernelSnapshot};
pub use server::{MetricsPages, MetricsServer, PROXY_MODE};
pub use state::Metrics;
pub use text::Format;
