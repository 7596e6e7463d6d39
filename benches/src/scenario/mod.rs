//! What is measured against the real kernel maps. Each scenario is bounded in count, sends packets
//! only between namespaces of its own, and leaves nothing behind.

pub mod change;
pub mod connect;
pub mod fill;
pub mod memory;
pub mod packet;
pub mod scale;
mod size;
pub mod storm;
pub mod throughput;
pub mod watchers;

pub use size::{ENDPOINTS, Scale};
