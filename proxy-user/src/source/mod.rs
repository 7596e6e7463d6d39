//! Where the cluster's objects come from.
//!
//! ```text
//! files ──▶ manifests ───┐
//!                        ├─▶ kubernetes ──▶ model::Event
//! API server ──▶ kube ───┘
//! ```
//!
//! * [`kubernetes`] turns objects of the Kubernetes API into [`crate::model`]. Pure functions, one
//!   per kind; every source of API objects uses the same ones.
//! * `kube` follows the API server.
//! * `manifests` reads those objects from YAML and JSON files and follows the files live.
//! * `addresses`, `devices` and `filters` follow what the kernel knows of this node.

#![forbid(unsafe_code)]

#[cfg(feature = "agent")]
pub mod addresses;
#[cfg(feature = "agent")]
pub mod devices;
#[cfg(feature = "agent")]
pub mod filters;
#[cfg(feature = "kube")]
pub mod kube;
pub mod kubernetes;
#[cfg(feature = "manifests")]
pub mod manifests;
#[cfg(feature = "agent")]
mod netlink;
mod severity;

#[cfg(feature = "agent")]
pub use netlink::NetlinkError;
pub use severity::Severity;
