//! Probes of this node's proxy as a whole: by kubelet, by load balancers of cloud providers, by rollouts.

mod answer;
mod server;
mod timestamp;

pub use answer::Probe;
pub use server::HealthServer;
pub(crate) use timestamp::Timestamp;
