//! Where the cluster's objects come from.
//!
//! ```text
//! files ──▶ manifests ──k8s-openapi types──▶ kubernetes ──▶ model::Event
//! ```
//!
//! * [`kubernetes`] turns objects of the Kubernetes API into [`crate::model`]. Pure functions, one
//!   per kind; every source of API objects uses the same ones.
//! * [`manifests`] reads those objects from YAML and JSON files and follows the files live.

#![forbid(unsafe_code)]

#[cfg(feature = "agent")]
pub mod addresses;
pub mod kubernetes;
pub mod manifests;
