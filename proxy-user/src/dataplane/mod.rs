//! The embedder's way in: the engine over the kernel's maps, with programs attached. Neither an
//! async runtime nor a Kubernetes client is needed.

mod agent;
mod devices;
mod error;
mod node;

pub use devices::DeviceReport;
pub use error::DataplaneError;
pub use node::Dataplane;

pub use crate::kernel::Options;
