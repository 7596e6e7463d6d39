//! A node with a proxy on it: a network namespace that is joined to the control plane's and to nothing else, a
//! cgroup, and a bpffs of its own.

use super::Peer;
use crate::{footprint, plane::Plane};
use anyhow::{Context as _, Result, bail};
use shunt::lab::{Bpffs, Cgroup, Namespace, Process, Scratch};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Lines of a log that stand in an error.
const LINES: usize = 30;

/// How often tools that a proxy runs are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// A running proxy. Dropping it ends it and removes what it programmed.
pub struct Site {
    peer: Peer,
    started: Instant,
    look: Look,
    process: Process,
    cgroup: Arc<Cgroup>,
    pins: Bpffs,
    files: Scratch,
    namespace: Namespace,
}

impl Site {
    /// Makes the node and starts the proxy.
    ///
    /// # Errors
    /// Where the lab or the program fails.
    pub fn start(peer: Peer, agent: &Path, plane: &Plane) -> Result<Self> {
        let (namespace, files, pins) = (Namespace::new("node")?, Scratch::new()?, Bpffs::new()?);
        let cgroup = Arc::new(Cgroup::new()?);
        namespace.forward()?;
        plane.join(&namespace, 0)?;
        let mut command = peer.command(agent, plane, &files, cgroup.path(), &pins.path().join("shunt"))?;
        let log = File::create(files.path().join("log")).context("open(log)")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        cgroup.at(&namespace).enter_command(&mut command);
        let started = Instant::now();
        let mut process = Process::start(&mut command)?;
        let look = Look::start(Arc::clone(&cgroup), process.child().id());
        Ok(Self { peer, started, look, process, cgroup, pins, files, namespace })
    }

    /// Which proxy.
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// When it was started.
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// Its network namespace.
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its cgroup.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// Where Shunt pins.
    pub fn pin_path(&self) -> PathBuf {
        self.pins.path().join("shunt")
    }

    /// Its process id.
    pub fn process(&mut self) -> u32 {
        self.process.child().id()
    }

    /// The most memory that a tool had which the proxy ran, bytes, as far as it was seen.
    pub fn tools_peak(&self) -> u64 {
        self.look.tools.load(Relaxed)
    }

    /// Fails with the end of its log where the proxy has ended.
    ///
    /// # Errors
    /// See above.
    pub fn expect_alive(&mut self) -> Result<()> {
        if let Some(status) = self.process.child().try_wait().context("wait")? {
            bail!("{} ended: {status}\n{}", self.peer, self.log());
        }
        Ok(())
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.files.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.look.end();
    }
}

/// A thread that looks at what runs in the cgroup beside the proxy.
struct Look {
    tools: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Look {
    fn start(cgroup: Arc<Cgroup>, proxy: u32) -> Self {
        let (tools, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, end) = (Arc::clone(&tools), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !end.load(Relaxed) {
                for (process, (_, peak)) in footprint::peaks(&cgroup).unwrap_or_default() {
                    if process != proxy {
                        seen.fetch_max(peak, Relaxed);
                    }
                }
                thread::sleep(LOOK);
            }
        });
        Self { tools, ended, thread: Some(thread) }
    }

    /// Ends the thread, which lets go of the cgroup.
    fn end(&mut self) {
        self.ended.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panics nowhere.
            let _ = thread.join();
        }
    }
}
