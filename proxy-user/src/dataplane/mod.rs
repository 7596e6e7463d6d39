//! The embedder's way in: the engine over the kernel's maps, with programs attached. Neither an
//! async runtime nor a Kubernetes client is needed.

mod error;
mod node;
mod status;

pub use error::DataplaneError;
pub use node::Dataplane;
pub use status::Status;

pub use crate::kernel::Options;
