//! The cluster as this node knows it: compact Services and EndpointSlices, and the queue of
//! services that changed. Events come in, dirty services go out; no rule of balancing lives here.

mod endpoint;
mod endpoints;
mod hints;
mod named_slab;
mod port_lists;
mod slices;
mod state;

pub use endpoint::{KnownEndpoint, KnownSlice};
pub use endpoints::ListedEndpoint;
pub use hints::{HintLists, Hinted, HintsId};
pub use slices::KnownSlices;
pub use state::{Cluster, KnownService, ServiceId};
