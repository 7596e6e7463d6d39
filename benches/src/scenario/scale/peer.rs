//! The two that are compared, and how each is started.

use crate::{cluster::NODE, plane::Plane};
use anyhow::Result;
use shunt::lab::Scratch;
use std::{fmt, path::Path, process::Command};

/// Room for 10,000 Services, two frontends each, and 100,000 endpoints with those that were just replaced.
const SIZES: [&str; 6] = ["--max-frontends", "32768", "--max-services", "16384", "--max-endpoints", "131072"];

/// A proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// `shunt run`.
    Shunt,
    /// kube-proxy in mode nftables.
    KubeProxy,
}

impl Peer {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Shunt, Self::KubeProxy];

    /// The command that starts it on the node [`NODE`]: as it is installed, with nothing that would make it faster or
    /// slower. For kube-proxy this is its defaults: minSyncPeriod 1s, syncPeriod 30s. Shunt's maps are made larger than
    /// by default, which is for half as many endpoints.
    ///
    /// # Errors
    /// Where its file cannot be written.
    pub fn command(
        self,
        agent: &Path,
        plane: &Plane,
        files: &Scratch,
        cgroup: &Path,
        pins: &Path,
    ) -> Result<Command> {
        let kubeconfig = plane.kubeconfig()?;
        if self == Self::Shunt {
            let mut command = Command::new(agent);
            command.arg("run").arg("--kubeconfig").arg(kubeconfig).args(["--node", NODE]);
            command.arg("--cgroup").arg(cgroup).arg("--pin-path").arg(pins);
            command.args(SIZES);
            return Ok(command);
        }
        // The limits of conntrack are those of the whole machine: zero leaves them alone.
        let config = format!(
            "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: {NODE}
clientConnection: {{kubeconfig: {kubeconfig:?}}}
clusterCIDR: 10.128.0.0/9
conntrack: {{maxPerCore: 0, min: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s, udpTimeout: 0s, udpStreamTimeout: 0s}}
"
        );
        let mut command = Command::new(plane.tool("kube-proxy")?);
        command.arg("--config").arg(files.write("kube-proxy.yaml", &config)?);
        Ok(command)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Shunt => "Shunt",
            Self::KubeProxy => "kube-proxy",
        })
    }
}
