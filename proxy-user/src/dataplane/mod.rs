//! The embedder's way in: the engine over the kernel's maps, with programs attached. Neither an
//! async runtime nor a Kubernetes client is needed.

mod dataplane;
mod error;
mod status;

#[allow(clippy::module_inception, reason = "the module is named for its one type")]
pub use dataplane::Dataplane;
pub use error::DataplaneError;
pub use status::Status;

pub use crate::kernel::Options;
