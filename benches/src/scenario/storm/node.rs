//! A node with an agent on it, which follows the fake API server.

use super::server::Server;
use crate::cluster::{NODE, SampleCluster};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use shunt::{
    kernel::PinnedMaps,
    lab::{Bpffs, Cgroup, Namespace, Process, Scratch},
    writer::MapReader as _,
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Room for the cluster, and for what is freed between two grace periods.
const SIZES: [&str; 6] = ["--max-frontends", "32768", "--max-services", "16384", "--max-endpoints", "131072"];

/// How long the first fill may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A running agent. Dropping it ends it.
pub struct Node {
    process: Process,
    /// Its cgroup.
    pub cgroup: Cgroup,
    pins: Bpffs,
    files: Scratch,
    _namespace: Namespace,
}

impl Node {
    /// Starts the agent, and waits until it has programmed the cluster.
    ///
    /// # Errors
    /// Where it does not in two minutes.
    pub fn start(agent: &Path, cluster: &SampleCluster) -> Result<(Self, Server)> {
        let (namespace, files, pins) = (Namespace::new("node")?, Scratch::new()?, Bpffs::new()?);
        namespace.forward()?;
        let (cgroup, server) = (Cgroup::new()?, Server::start(&namespace, cluster)?);
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": format!("http://{}", server.address)}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        });
        let mut command = Command::new(agent);
        command.arg("run").arg("--kubeconfig").arg(files.write("kubeconfig", &config.to_string())?);
        command.args(["--node", NODE]).args(SIZES).arg("--cgroup").arg(cgroup.path());
        command.arg("--pin-path").arg(pins.path().join("shunt"));
        let log = File::create(files.path().join("log")).context("open(log)")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        cgroup.at(&namespace).enter_command(&mut command);
        let process = Process::start(&mut command)?;
        let mut node = Self { process, cgroup, pins, files, _namespace: namespace };
        let end = Instant::now() + LIMIT;
        while !node.log()?.contains("ready: ") {
            if let Some(status) = node.process.child().try_wait().context("wait")? {
                bail!("the agent ended: {status}\n{}", node.log()?);
            }
            ensure!(Instant::now() < end, "the agent is not ready after {LIMIT:?}\n{}", node.log()?);
            thread::sleep(Duration::from_millis(20));
        }
        Ok((node, server))
    }

    /// What it has pinned.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn maps(&self) -> Result<PinnedMaps> {
        let maps = PinnedMaps::read_only(&self.pin_path())?;
        ensure!(maps.capacities().services > 0);
        Ok(maps)
    }

    fn pin_path(&self) -> PathBuf {
        self.pins.path().join("shunt")
    }

    /// Its process id.
    pub fn process(&mut self) -> u32 {
        self.process.child().id()
    }

    /// All that it has logged.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(self.files.path().join("log")).context("read(log)")
    }
}
