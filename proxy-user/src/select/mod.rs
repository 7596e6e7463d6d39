//! The rules of Kubernetes as pure functions: which service ports a node programs, under which
//! frontends, and which endpoints each of its two sets holds.

mod endpoints;
mod frontends;
mod policy;

pub use endpoints::select_endpoints;
pub use frontends::{cluster_ip, select_frontends};
pub use policy::select_flags;
