//! The agent: what `shunt run` does once it has started.
//!
//! ```text
//! Source (manifests or API server) ──Incoming──▶ Agent ──▶ Dataplane ──report──▶ log, Events, metrics, health checks
//! addresses, devices, timers ───────────────────▶   ▲
//! ```

mod added;
mod collect;
mod follow;
mod handover;
mod incoming;
mod kube_proxy;
mod notices;
mod own_node;
mod packets;
mod programming;
mod room;
mod stale;
mod sync_log;
mod tell;
mod watchman;

pub use incoming::{Incoming, Prepared, api_snapshot};
pub use own_node::OwnNode;
pub use packets::Packets;
pub use programming::{Agent, Parts};
pub use tell::Teller;
