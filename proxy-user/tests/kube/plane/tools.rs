//! Where the Kubernetes programs are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What `cargo xtask kube-tools` finds or builds.
const NAMES: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];

/// The programs; each may be elsewhere.
#[derive(Clone, Debug)]
pub struct Tools {
    directories: Vec<PathBuf>,
}

impl Tools {
    /// Looks in `KUBEBUILDER_ASSETS`, then in `target/kube-tools`. Says what is missing.
    pub fn find() -> Result<Self, String> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kube-tools");
        let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let tools = Self { directories: assets.into_iter().chain([target]).collect() };
        let missing: Vec<_> = NAMES.into_iter().filter(|name| tools.path(name).is_none()).collect();
        if missing.is_empty() {
            return Ok(tools);
        }
        Err(format!("no {} here: run `cargo xtask kube-tools`", missing.join(", ")))
    }

    /// Where a program is.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file())
    }

    /// A program that [`Tools::find`] has found, with nothing of the user's Kubernetes configuration.
    pub fn command(&self, name: &str) -> Command {
        let path = self.path(name).unwrap_or_else(|| panic!("{name} is gone; run `cargo xtask kube-tools`"));
        let mut command = Command::new(path);
        command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST");
        command
    }
}
