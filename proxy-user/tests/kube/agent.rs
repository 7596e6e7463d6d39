//! `shunt run` on a node, which follows the API server.

use crate::{
    command::{self, Site},
    kubectl::Kubectl,
    stage::Stage,
};
use shunt::{
    kernel::{KernelError, remove},
    lab::{Namespace, Place},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// What it logs once the maps are true.
const READY: &str = "ready: ";

/// The ServiceAccount of `deploy/`, which agents are.
pub const ACCOUNT: &str = "shunt";

/// Shunt on one node, and where its pins are.
pub struct Agent<'a> {
    node: &'a Namespace,
    pub name: String,
    kubeconfig: PathBuf,
    /// More arguments.
    pub more: Vec<String>,
    process: Option<command::Agent>,
    pub site: Site,
}

impl<'a> Agent<'a> {
    /// Starts it, and waits until it serves.
    pub fn start(stage: &'a Stage, node: usize) -> Self {
        let mut agent = Self::prepare(stage, node, &stage.kubeconfig(ACCOUNT));
        agent.run();
        agent
    }

    /// Has everything ready for one with other credentials.
    pub fn prepare(stage: &'a Stage, node: usize, kubeconfig: &Path) -> Self {
        let node = stage.lan.node(node);
        let (name, kubeconfig) = (node.name().to_owned(), kubeconfig.to_owned());
        Self { node, name, kubeconfig, more: Vec::new(), process: None, site: Site::new() }
    }

    /// Starts it again where an earlier one has left its pins, and waits until it serves.
    pub fn run(&mut self) {
        self.begin();
        self.process().wait_for(READY);
    }

    /// The same without waiting.
    pub fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        self.process = Some(self.site.begin_command(self.command()));
    }

    /// Waits until one that has begun serves.
    pub fn wait_until_ready(&mut self) {
        self.process().wait_for(READY);
    }

    /// The command, in the node's network namespace.
    pub fn command(&self) -> Command {
        let mut command = command::shunt(&["run", "--node", &self.name, "--kubeconfig"]);
        command.arg(&self.kubeconfig).arg("--cgroup").arg(self.site.cgroup.path());
        command.args(["--pin-path", &self.site.pins(), "--startup-spread", "0s"]).args(&self.more);
        self.node.enter_command(&mut command);
        command
    }

    /// Whether it has said that it serves.
    pub fn is_ready(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.log().contains(READY))
    }

    /// Kills it as a crash would.
    pub fn kill(&mut self) {
        assert!(self.process.take().is_some(), "it does not run");
    }

    /// What the maps should hold: made by `shunt plan` of what the API server lists, with no past.
    pub fn made_from_scratch(&self, kubectl: &Kubectl) -> String {
        let objects = kubectl.run(&["get", "services,endpointslices,nodes,servicecidrs", "-A", "-o", "json"]);
        let file = self.site.directory.path().join("objects.json");
        fs::write(&file, objects).unwrap();
        let file = file.to_str().unwrap();
        let said = command::said(&["plan", "--node", &self.name, "-o", "json", "--manifests", file]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        said.out
    }

    /// The process.
    pub fn process(&mut self) -> &mut command::Agent {
        self.process.as_mut().unwrap()
    }

    /// A place whose sockets this Shunt sees.
    pub fn with_sockets(&self, place: impl Into<Place>) -> Place {
        self.site.cgroup.at(place)
    }

    /// The node itself.
    pub fn place(&self) -> Place {
        self.node.into()
    }

    /// The node itself, with its sockets.
    pub fn node(&self) -> Place {
        self.with_sockets(self.node)
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(process) = &self.process
        {
            eprintln!("Shunt on {} has logged:\n{}", self.name, process.log());
        }
        self.process = None;
        // A child of another test has the lock open too, until it becomes another program.
        let end = Instant::now() + Duration::from_secs(10);
        let pins = PathBuf::from(self.site.pins());
        loop {
            match self.node.run(|| remove(&pins)) {
                Ok(Err(KernelError::Locked { .. })) if Instant::now() < end => {
                    thread::sleep(Duration::from_millis(10));
                }
                removed if thread::panicking() => return drop(removed),
                removed => return removed.unwrap().map(|_| ()).unwrap(),
            }
        }
    }
}
