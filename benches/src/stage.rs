//! A dataplane of its own for each cluster that is measured: maps pinned in a private bpffs,
//! programs attached to a child cgroup that only the bench's own sockets join.

use crate::cluster::{NODE, SampleCluster};
use anyhow::{Result, ensure};
use shunt::{
    engine::{Engine, Rules, SyncReport},
    kernel::{Kernel, KernelMaps, Options, Programs},
    lab,
};
use std::time::{Duration, Instant};

/// An engine over real maps. Everything in the kernel is gone once it is dropped.
#[derive(Debug)]
pub struct Stage {
    /// The engine.
    pub engine: Engine<KernelMaps>,
    /// What is fed into it.
    pub cluster: SampleCluster,
    /// Where the programs are attached.
    pub cgroup: lab::Cgroup,
    /// How long the engine took to read the empty maps.
    pub adoption: Duration,
    /// The programs, attached or not.
    pub programs: Programs,
    pins: lab::Bpffs,
}

impl Stage {
    /// An engine over empty maps with room for a cluster; no program is attached yet.
    ///
    /// # Errors
    /// Where the lab, the maps or the programs cannot be made.
    pub fn empty(cluster: SampleCluster) -> Result<Self> {
        let (pins, cgroup) = (lab::Bpffs::new()?, lab::Cgroup::new()?);
        let (maps, programs) = Kernel::open(&options(&cluster, &pins, &cgroup))?.split();
        let start = Instant::now();
        let engine = Engine::new(NODE, Rules::default(), maps)?;
        let adoption = start.elapsed();
        Ok(Self { engine, cluster, cgroup, adoption, programs, pins })
    }

    /// An engine that has programmed a whole cluster.
    ///
    /// # Errors
    /// As for [`Self::empty`], and where the cluster does not fit.
    pub fn filled(cluster: SampleCluster) -> Result<Self> {
        let mut stage = Self::empty(cluster)?;
        stage.cluster.events().for_each(|event| stage.engine.apply(event));
        let report = stage.engine.sync()?;
        stage.expect_complete(&report)?;
        Ok(stage)
    }

    /// Where everything is pinned.
    #[must_use]
    pub fn pin_path(&self) -> std::path::PathBuf {
        self.pins.path().join("shunt")
    }

    /// Attaches the programs to the stage's cgroup.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn attach(&mut self) -> Result<()> {
        self.programs.attach()?;
        Ok(())
    }

    /// Fails where a first fill left anything out: a figure about half a cluster would be a lie.
    ///
    /// # Errors
    /// See above.
    pub fn expect_complete(&self, report: &SyncReport) -> Result<()> {
        let (cluster, usage) = (&self.cluster, self.engine.usage());
        let ports = cluster.services() * cluster.ports();
        ensure!(report.services == cluster.services() as usize, "synced {} services", report.services);
        ensure!(self.engine.unplaced().is_empty(), "does not fit: {:?}", self.engine.unplaced().first());
        ensure!(usage.services == ports, "{} service ports of {ports}", usage.services);
        ensure!(usage.backends == ports * cluster.endpoints(), "{} backends", usage.backends);
        Ok(())
    }
}

/// Options for maps with room for a cluster.
#[must_use]
pub fn options(cluster: &SampleCluster, pins: &lab::Bpffs, cgroup: &lab::Cgroup) -> Options {
    Options {
        cgroup: cgroup.path().to_owned(),
        pin_path: pins.path().join("shunt"),
        capacities: cluster.capacities(),
        ..Options::default()
    }
}
