//! Where the cluster's objects come from.
//!
//! ```text
//! files ──▶ manifests ──k8s-openapi types──▶ kubernetes ──▶ model::Event
//! ```
//!
//! * [`kubernetes`] turns objects of the Kubernetes API into [`crate::model`]. Pure functions, one
//!   per kind; every source of API objects uses the same ones.
//! * [`manifests`] reads those objects from YAML and JSON files and follows the files live.
//! * `addresses` and `devices` follow what the kernel knows of this node.

#![forbid(unsafe_code)]

#[cfg(feature = "agent")]
pub mod addresses;
#[cfg(feature = "agent")]
pub mod devices;
pub mod kubernetes;
pub mod manifests;
#[cfg(feature = "agent")]
mod netlink;

#[cfg(feature = "agent")]
pub use netlink::NetlinkError;
