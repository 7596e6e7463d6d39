//! A real control plane: etcd, kube-apiserver and some of kube-controller-manager's controllers, in a namespace of the
//! laboratory or on the machine's own loopback address.
//!
//! ```text
//! kubectl ──┐             192.0.2.101:6443
//! agents ───┴───────────▶ kube-apiserver ───▶ etcd (127.0.0.1 of the same namespace, no fsync)
//!                           ▲
//!              kube-controller-manager
//! ```
//!
//! The programs are those that `cargo xtask kube-tools` finds or builds.
//!
//! ```no_run
//! use shunt::lab::control_plane::{ControlPlane, Options, Tools};
//! use std::path::Path;
//!
//! let tools = Tools::find(Path::new("target/kube-tools"))?;
//! let plane = ControlPlane::start(Options::on_loopback(tools))?;
//! let kubeconfig = plane.admin()?; // for agents
//! let nodes = plane.kubectl()?.run(&["get", "nodes"])?;
//! plane.kill(); // as a crash does: what is stored stays
//! plane.start_again()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod credentials;
mod daemon;
mod kubectl;
mod options;
mod plane;
mod tools;

pub use credentials::Credentials;
pub use kubectl::Kubectl;
pub use options::Options;
pub use plane::ControlPlane;
pub use tools::Tools;
