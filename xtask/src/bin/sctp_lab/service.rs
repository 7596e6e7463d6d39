//! Shunt on the node, with an SCTP Service whose only endpoint is the server.

use anyhow::{Context as _, Result, bail};
use shunt::lab::{Lab, Process};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The port that the Service has on every address of the node.
pub const NODE_PORT: u16 = 31412;

/// Where the virtual machine has the command, and where its files go.
const SHUNT: &str = "/shunt";
const DIRECTORY: &str = "/tmp/shunt";

/// Until the agent is ready.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// A running agent; killed when dropped.
pub struct Agent {
    _process: Process,
    log: PathBuf,
}

impl Agent {
    /// Starts it in the node's namespace and waits until it has programmed the Service, whose endpoint, the
    /// second pod, listens on `port`.
    ///
    /// # Errors
    /// It does not become ready; its log is in the error.
    pub fn start(lab: &Lab, port: u16) -> Result<Self> {
        let manifests = Path::new(DIRECTORY).join("manifests");
        fs::create_dir_all(&manifests).with_context(|| format!("mkdir({})", manifests.display()))?;
        let file = manifests.join("sctp.yaml");
        fs::write(&file, manifest(lab, port)).with_context(|| format!("write({})", file.display()))?;
        let log = Path::new(DIRECTORY).join("log");
        let output = File::create(&log).with_context(|| format!("create({})", log.display()))?;
        let mut command = Command::new(SHUNT);
        command.args(["run", "--node", "lab-node", "--interfaces", "pod*", "--manifests"]).arg(&manifests);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        lab.node().enter_command(&mut command);
        let agent = Self { _process: Process::start(&mut command)?, log };
        wait_until_ready(&agent.log)?;
        Ok(agent)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_else(|error| format!("{}: {error}", self.log.display()))
    }
}

fn wait_until_ready(log: &Path) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(log).with_context(|| format!("read({})", log.display()))?;
        if text.contains("ready: ") {
            return Ok(());
        }
        if text.contains(" ERROR ") || Instant::now() >= end {
            bail!("{SHUNT} run is not ready:\n{text}");
        }
        thread::sleep(PAUSE);
    }
}

/// The node, the Service and a slice of each family.
fn manifest(lab: &Lab, port: u16) -> String {
    let (node, server) = (lab.node(), lab.pod(1));
    let slice = |family: &str, address: String| {
        let name = family.to_lowercase();
        format!(
            "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: s1-{name}, namespace: default, labels: {{kubernetes.io/service-name: s1}}}}
addressType: {family}
ports: [{{name: s1, protocol: SCTP, port: {port}}}]
endpoints: [{{addresses: [\"{address}\"], nodeName: lab-node, conditions: {{ready: true}}}}]
"
        )
    };
    format!(
        "apiVersion: v1
kind: Node
metadata: {{name: lab-node}}
spec: {{podCIDRs: [10.244.0.0/24, \"fd00:10:244::/64\"]}}
status:
  addresses:
    - {{type: InternalIP, address: {}}}
    - {{type: InternalIP, address: \"{}\"}}
---
apiVersion: v1
kind: Service
metadata: {{name: s1, namespace: default}}
spec:
  type: NodePort
  clusterIPs: [10.96.0.36, \"fd00:10:96::36\"]
  ipFamilies: [IPv4, IPv6]
  ports: [{{name: s1, protocol: SCTP, port: 36412, targetPort: {port}, nodePort: {NODE_PORT}}}]
{}{}",
        node.ipv4(),
        node.ipv6(),
        slice("IPv4", server.ipv4().to_string()),
        slice("IPv6", server.ipv6().to_string()),
    )
}
