//! The real kube-proxy on a node.

use crate::stage::{Stage, tools};
use serde_json::json;
use shunt::lab::{Program, control_plane::Tools, lan::Node};
use std::{env, fs, path::PathBuf, process::Command};
use tempfile::TempDir;

/// The ServiceAccount that kube-proxies are.
const ACCOUNT: &str = "kube-proxy";

/// Networks of all pods.
const PODS: &str = "10.244.0.0/16,fd00:10:244::/48";

/// kube-proxy on one node, in one mode.
pub struct KubeProxy<'a> {
    node: &'a Node,
    pub mode: &'static str,
    tools: Tools,
    configuration: PathBuf,
    _directory: TempDir,
    process: Option<Program>,
}

/// Lets kube-proxy into a cluster, as kubeadm does. False, with the reason printed, where it is not here.
pub fn admit(stage: &Stage) -> bool {
    if tools().is_none_or(|tools| tools.path("kube-proxy").is_none()) {
        assert!(
            env::var_os("SHUNT_REQUIRE_KUBE").is_none(),
            "no kube-proxy here: run `cargo xtask kube-tools`"
        );
        eprintln!("SKIPPED, nothing beside the real kube-proxy: run `cargo xtask kube-tools`");
        return false;
    }
    let account = json!({ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": "kube-system" });
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier" });
    stage.kubectl().create(&json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": ACCOUNT, "namespace": "kube-system" } },
        { "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": "kubeadm:node-proxier" }, "roleRef": role, "subjects": [account] },
    ] }));
    true
}

impl<'a> KubeProxy<'a> {
    /// Has everything ready for one.
    pub fn prepare(stage: &'a Stage, node: usize, mode: &'static str) -> Self {
        let (node, directory) = (stage.lan.node(node), TempDir::new().unwrap());
        let configuration = directory.path().join("config.conf");
        let text = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
            "clientConnection": { "kubeconfig": stage.kubeconfig(ACCOUNT) },
            "hostnameOverride": node.name(), "mode": mode, "clusterCIDR": PODS,
            // Those of a namespace other than the first cannot be written.
            "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
        });
        fs::write(&configuration, text.to_string()).unwrap();
        Self { node, mode, tools: tools().unwrap(), configuration, _directory: directory, process: None }
    }

    /// Starts it.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        self.process = Some(Program::start(self.node, &mut self.command()).unwrap());
    }

    /// Ends it. Its rules stay.
    pub fn kill(&mut self) {
        assert!(self.process.take().is_some(), "it does not run");
    }

    fn command(&self) -> Command {
        let mut command = self.tools.command("kube-proxy");
        command.arg("--config").arg(&self.configuration);
        command
    }
}
