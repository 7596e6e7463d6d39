//! Where the Kubernetes programs are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What a control plane needs.
const NEEDED: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];

/// The Kubernetes programs; each may be elsewhere.
#[derive(Clone, Debug)]
pub struct Tools {
    directories: Vec<PathBuf>,
}

impl Tools {
    /// Looks in `KUBEBUILDER_ASSETS`, then in a directory: that which `cargo xtask kube-tools` fills is
    /// `target/kube-tools`.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn find(directory: &Path) -> Result<Self, String> {
        let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let tools = Self { directories: assets.into_iter().chain([directory.to_owned()]).collect() };
        let missing: Vec<_> = NEEDED.into_iter().filter(|name| tools.path(name).is_none()).collect();
        if missing.is_empty() {
            return Ok(tools);
        }
        Err(format!("no {} here: run `cargo xtask kube-tools`", missing.join(", ")))
    }

    /// Where a program is, by name; kube-proxy is not always there.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file())
    }

    /// A program, with nothing of the user's own Kubernetes configuration. Starting it fails if it is not there.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name).unwrap_or_else(|| name.into()));
        command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
        command
    }
}
