//! The stage: two nodes with pods, Shunt on the first, a client outside and one in a pod.

use crate::{
    agent::Agent,
    backend::{Id, Servers},
    cluster::{self, Endpoint, TARGETS},
    command::{self, Site},
    load::{Client, Load},
    outcome::Outcome,
    scale::Scale,
    wait_until,
};
use shunt::{
    kernel::{KernelError, remove},
    lab::{
        Place,
        control_plane::{self, ControlPlane, Tools},
        lan::{Host, Lan, Node, Options, Pod},
        ping,
    },
};
use std::{
    env,
    ffi::OsString,
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How many pods are listed all the time, and how many come and go.
pub const STAY: usize = 4;
pub const COME: usize = 4;

/// Clients with session affinity outside: addresses of one host.
const OWN: std::ops::Range<u8> = 150..154;

/// Two at once would compete for two processors.
static ALONE: Mutex<()> = Mutex::new(());

/// The stage.
pub struct Stage {
    /// The agent that is at work.
    pub agent: Option<Agent>,
    pub site: Site,
    pub scale: Scale,
    /// Another version of the program, for the next agent.
    pub program: Option<PathBuf>,
    /// More arguments of every agent.
    pub arguments: Vec<String>,
    /// More of the environment of every agent.
    pub environment: Vec<(OsString, OsString)>,
    pub servers: Servers,
    is_changed: bool,
    pods: Vec<Pod>,
    inside: Pod,
    plane: Option<ControlPlane>,
    _control: Option<Host>,
    pub lan: Lan,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    /// `None`, with the reason printed, where no lab can be made.
    pub fn new() -> Option<Self> {
        if command::skipped() {
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let lan = Lan::new(&Options { offload: true, ..Options::default() }).unwrap();
        let pods: Vec<_> = (0..STAY + COME)
            .map(|number| lan.node(number % 2).add_pod(&format!("pod-{number}")).unwrap())
            .collect();
        let inside = lan.node(0).add_pod("inside").unwrap();
        for own in OWN {
            lan.client().add_address("eth0", IpAddr::from([192, 0, 2, own]), 32).unwrap();
        }
        let scale = Scale::of_this_run();
        let stage = Self {
            agent: None,
            site: Site::new(),
            scale,
            program: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            servers: Servers::start(),
            is_changed: false,
            pods,
            inside,
            plane: None,
            _control: None,
            lan,
            _alone: alone,
        };
        (0..=STAY).for_each(|pod| stage.open(pod));
        stage.site.save("services.json", &cluster::fixed(stage.node()));
        stage.list(&[]);
        // The first packet to a neighbour whose hardware address is not known waits; no test is about that.
        for ip in [IpAddr::from(stage.node().ipv4()), stage.node().ipv6().into()] {
            stage.lan.client().run(|| ping(ip, Duration::from_secs(5))).unwrap().unwrap();
        }
        Some(stage)
    }

    /// The stage with a control plane in the place of manifests; `None`, with the reason printed, where its programs are
    /// missing.
    pub fn with_control_plane() -> Option<Self> {
        let mut stage = Self::new()?;
        let tools = Tools::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kube-tools"));
        let tools = match tools {
            Ok(tools) => tools,
            Err(reason) => {
                assert!(env::var_os("SHUNT_REQUIRE_KUBE").is_none(), "{reason}");
                eprintln!("SKIPPED, no test against a real API server: {reason}");
                return None;
            }
        };
        let host = stage.lan.add_client("control-plane").unwrap();
        let options =
            control_plane::Options { controllers: Vec::new(), ..control_plane::Options::on(&host, tools) };
        let plane = ControlPlane::start(options).unwrap_or_else(|error| panic!("{error}"));
        stage.plane = Some(plane);
        stage.apply(&cluster::fixed(stage.node()));
        stage.list(&[]);
        stage._control = Some(host);
        Some(stage)
    }

    /// The control plane of a stage that has one.
    pub fn plane(&self) -> &ControlPlane {
        self.plane.as_ref().unwrap()
    }

    fn apply(&self, objects: &str) {
        self.plane().kubectl().unwrap().run_with(&["apply", "-f", "-"], objects).unwrap();
    }

    /// The stage with an agent that is ready.
    pub fn with_agent() -> Option<Self> {
        let mut stage = Self::new()?;
        stage.start();
        Some(stage)
    }

    /// The node that Shunt is on.
    pub fn node(&self) -> &Node {
        self.lan.node(0)
    }

    pub fn pins(&self) -> PathBuf {
        self.site.bpffs.path().join("shunt")
    }

    /// Lets a pod listen.
    pub fn open(&self, pod: usize) {
        for (service, target) in TARGETS.into_iter().enumerate() {
            for (family, ip) in self.endpoint(pod).ips.into_iter().enumerate() {
                let id = id(pod, family, service);
                self.servers.open(&(&self.pods[pod]).into(), SocketAddr::new(ip, target), id);
            }
        }
    }

    /// Lets a pod listen no more; its connections go on.
    pub fn close(&self, pod: usize) {
        for service in 0..TARGETS.len() {
            (0..2).for_each(|family| self.servers.close(id(pod, family, service)));
        }
    }

    pub fn endpoint(&self, pod: usize) -> Endpoint {
        let at = &self.pods[pod];
        let node = self.lan.node(pod % 2).name().to_owned();
        Endpoint { ips: [at.ipv4().into(), at.ipv6().into()], node }
    }

    /// Lists those pods that stay and these ones.
    pub fn list(&self, more: &[usize]) {
        let listed: Vec<_> = (0..STAY).chain(more.iter().copied()).map(|pod| self.endpoint(pod)).collect();
        let slices = cluster::slices(&listed);
        match self.plane {
            Some(_) => self.apply(&slices),
            None => self.site.save("slices.json", &slices),
        }
    }

    /// The program that is in use.
    pub fn shunt(&self) -> Command {
        let own = command::shunt(&[]);
        let Some(program) = &self.program else { return own };
        let mut command = Command::new(program);
        for (name, value) in own.get_envs() {
            assert!(value.is_none(), "nothing is set");
            command.env_remove(name);
        }
        command
    }

    /// The command of an agent, whose place is yet to be entered.
    pub fn command(&self) -> Command {
        let mut command = self.shunt();
        command.args(["run", "--node", self.node().name()]);
        match &self.plane {
            Some(plane) => {
                command.arg("--kubeconfig").arg(plane.admin().unwrap()).args(["--startup-spread", "0s"])
            }
            None => command.arg("--manifests").arg(self.site.manifests()),
        };
        command.arg("--cgroup").arg(self.site.cgroup.path());
        command.arg("--pin-path").arg(self.pins()).args(&self.arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn log(&self) -> PathBuf {
        self.site.directory.path().join("log")
    }

    /// Starts an agent beside the one that is at work, if there is one.
    pub fn another(&self, command: Command) -> Agent {
        Agent::start(&self.node().into(), command, &self.log())
    }

    /// Starts the agent and waits until it is ready.
    pub fn start(&mut self) {
        self.begin();
        self.agent().wait_until_ready();
    }

    /// Starts the agent.
    pub fn begin(&mut self) {
        assert!(self.agent.is_none(), "it runs already");
        self.agent = Some(self.another(self.command()));
    }

    /// The agent.
    pub fn agent(&mut self) -> &mut Agent {
        self.agent.as_mut().unwrap()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.agent.take().unwrap().kill();
    }

    /// SIGTERM.
    pub fn stop(&mut self) {
        self.agent.take().unwrap().stop();
    }

    /// A client in a pod, whose sockets Shunt sees.
    pub fn inside(&self) -> Client {
        Client {
            place: self.site.cgroup.at(&self.inside),
            web: cluster::cluster_ips(0),
            sticky: cluster::cluster_ips(1),
            own: Vec::new(),
            severed: false,
            breaks: false,
            reopens: true,
        }
    }

    /// A client on the local network, whose packets the node gets.
    pub fn outside(&self) -> Client {
        Client {
            place: Place::from(self.lan.client()),
            web: cluster::node_ports(0, self.node()),
            sticky: cluster::node_ports(1, self.node()),
            own: OWN.map(|own| IpAddr::from([192, 0, 2, own])).collect(),
            severed: false,
            breaks: false,
            reopens: true,
        }
    }

    /// Clients of both kinds, at work.
    pub fn load(&self) -> Load {
        Load::start(&[self.inside(), self.outside()], self.scale)
    }

    /// Lets a fault happen while clients connect, and says what became of them: `inject` returns when everything is to be
    /// as it was before.
    pub fn suffer(
        &mut self,
        fault: &'static str,
        injected: &'static str,
        inject: impl FnMut(&mut Self, &mut Outcome),
    ) {
        let clients = [self.inside(), self.outside()];
        self.suffer_with(&clients, fault, injected, inject);
    }

    /// The same with other clients.
    pub fn suffer_with(
        &mut self,
        clients: &[Client],
        fault: &'static str,
        injected: &'static str,
        mut inject: impl FnMut(&mut Self, &mut Outcome),
    ) {
        let load = Load::start(clients, self.scale);
        let mut outcome = Outcome::begin(fault, injected, load, self.scale);
        for _ in 0..self.scale.rounds {
            outcome.during(1, |outcome| inject(self, outcome));
        }
        outcome.end();
    }

    /// Lists a pod that comes and goes if it is not listed, or no more if it is, and waits until the maps follow.
    #[track_caller]
    pub fn change(&mut self) {
        self.is_changed = !self.is_changed;
        self.list(self.listed());
        self.wait_until_programmed(self.listed());
    }

    /// Those that [`Self::change`] has listed.
    fn listed(&self) -> &'static [usize] {
        if self.is_changed { &[STAY] } else { &[] }
    }
}

/// Who answers: pod, family and, as the last digit, the Service.
fn id(pod: usize, family: usize, service: usize) -> Id {
    (pod * 100 + family * 10 + service) as Id
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(log) = fs::read_to_string(self.log())
        {
            eprintln!("the agents have logged:\n{log}");
        }
        self.agent = None;
        let pins = self.pins();
        // A child of another test has the lock open too, until it becomes another program.
        let removed = || !matches!(self.node().run(|| remove(&pins)), Ok(Err(KernelError::Locked { .. })));
        wait_until("the pins are removed", removed);
    }
}
