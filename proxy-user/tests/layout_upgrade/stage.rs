//! The stage: a node with Shunt and two pods, another node with one, clients in a pod and outside.

use crate::command::{self, Agent, Site};
use serde_json::{Value, json};
use shunt::{
    kernel::{KernelError, remove},
    lab::{
        TcpServer, UdpServer,
        lan::{Host, Lan, Node, Options, Pod},
    },
};
use std::{
    env, fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The longest that an agent may take to get ready. A takeover loads the programs four times, unoptimised here, and the
/// machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(180);

/// Two stages at once would compete for two processors.
static ALONE: Mutex<()> = Mutex::new(());

/// The Services: `web`, and `sticky` with session affinity. Name, ClusterIPs, NodePort, port of the pods.
pub const SERVICES: [(&str, [&str; 2], u16, u16); 2] = [
    ("web", ["10.96.0.10", "fd00:10:96::10"], 30_080, 8_080),
    ("sticky", ["10.96.0.11", "fd00:10:96::11"], 30_081, 8_081),
];
pub const WEB: usize = 0;
pub const STICKY: usize = 1;

/// How many clients there are outside.
const CLIENTS: usize = 4;

/// The stage.
pub struct Stage {
    pub agent: Option<Agent>,
    pub site: Site,
    pub clients: Vec<Host>,
    /// The pod of the clients whose sockets Shunt sees.
    pub inside: Pod,
    _servers: (Vec<TcpServer>, Vec<UdpServer>),
    /// Two on the node, one elsewhere.
    pub pods: Vec<Pod>,
    lan: Lan,
    _alone: MutexGuard<'static, ()>,
}

/// The program with the other layout; `None`, with the reason printed, where nobody has built it.
pub fn other_layout() -> Option<PathBuf> {
    let given = env::var_os("SHUNT_OTHER_LAYOUT").map(PathBuf::from);
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/other-layout/shunt");
    let found = given.or_else(|| built.exists().then_some(built));
    if found.is_none() {
        eprintln!("SKIPPED, no version with another layout of maps: `cargo xtask other-layout` builds one");
    }
    found
}

/// This version.
pub fn own_layout() -> PathBuf {
    command::PROGRAM.into()
}

impl Stage {
    /// `None`, with the reason printed, where no lab can be made.
    pub fn new() -> Option<Self> {
        if command::skipped() {
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let lan = Lan::new(&Options { offload: true, ..Options::default() }).unwrap();
        let pods: Vec<_> = [(0, "here-1"), (0, "here-2"), (1, "there")]
            .map(|(node, name)| lan.node(node).add_pod(name).unwrap())
            .into();
        let inside = lan.node(0).add_pod("inside").unwrap();
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        for (pod, name) in pods.iter().zip(["here-1", "here-2", "there"]) {
            for (port, ip) in SERVICES.iter().flat_map(|service| ips(pod).map(|ip| (service.3, ip))) {
                tcp.push(TcpServer::start_echo(pod, name, SocketAddr::new(ip, port)).unwrap());
                udp.push(UdpServer::start(pod, name, SocketAddr::new(ip, port)).unwrap());
            }
        }
        let clients =
            (0..CLIENTS).map(|number| lan.add_client(&format!("client-{number}")).unwrap()).collect();
        let (site, servers) = (Site::new(), (tcp, udp));
        let stage = Self { agent: None, site, clients, inside, _servers: servers, pods, lan, _alone: alone };
        stage.site.save("cluster.json", &stage.manifest());
        Some(stage)
    }

    /// The node that Shunt is on.
    pub fn node(&self) -> &Node {
        self.lan.node(0)
    }

    /// ClusterIPs of a Service.
    pub fn cluster_ips(&self, service: usize) -> [SocketAddr; 2] {
        SERVICES[service].1.map(|ip| SocketAddr::new(ip.parse().unwrap(), 80))
    }

    /// The node's addresses with a Service's NodePort.
    pub fn node_ports(&self, service: usize) -> [SocketAddr; 2] {
        [IpAddr::from(self.node().ipv4()), self.node().ipv6().into()]
            .map(|ip| SocketAddr::new(ip, SERVICES[service].2))
    }

    /// `program run`, whose place is yet to be entered.
    pub fn command(&self, program: &Path) -> Command {
        let own = self.site.run(&self.site.manifests(), &["--interfaces", "eth0"]);
        let mut command = Command::new(program);
        command.args(own.get_args());
        for (name, _) in own.get_envs() {
            command.env_remove(name);
        }
        command
    }

    /// Starts an agent in the node, and does not wait.
    pub fn begin(&mut self, mut command: Command) {
        assert!(self.agent.is_none(), "one agent at a time");
        self.node().enter_command(&mut command);
        self.agent = Some(self.site.begin_command(command));
    }

    /// Starts an agent and waits until the maps are true.
    pub fn start(&mut self, program: &Path) {
        self.begin(self.command(program));
        assert_eq!(self.ends(), None, "it is to get ready");
    }

    /// Waits until the agent is ready, or has ended: then what it has logged.
    pub fn ends(&mut self) -> Option<String> {
        let agent = self.agent.as_mut().unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            let has_ended = agent.has_ended();
            let log = agent.log();
            if has_ended {
                self.agent = None;
                return Some(log);
            }
            if log.contains("ready: ") {
                return None;
            }
            assert!(Instant::now() < until, "it neither ends nor gets ready:\n{log}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the agent as a rollout does, by SIGTERM.
    pub fn stop(&mut self) {
        assert!(self.agent.take().unwrap().stop().success());
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.agent = None;
    }

    fn manifest(&self) -> String {
        let node = self.node();
        let address = |ip: &IpAddr| json!({ "type": "InternalIP", "address": ip });
        let addresses: Vec<_> = [IpAddr::from(node.ipv4()), node.ipv6().into()].iter().map(address).collect();
        let mut items = vec![json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "lab-node" },
            "status": { "addresses": addresses } })];
        for (name, cluster_ips, node_port, port) in SERVICES {
            let ports = |with_node_port: bool| {
                let port = |protocol: &str| {
                    let mut port =
                        json!({ "name": protocol.to_lowercase(), "protocol": protocol, "port": port });
                    if with_node_port {
                        port["port"] = 80.into();
                        port["nodePort"] = node_port.into();
                    }
                    port
                };
                ["TCP", "UDP"].map(port)
            };
            let affinity = if name == SERVICES[STICKY].0 { "ClientIP" } else { "None" };
            items.push(
                json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name }, "spec": {
                "type": "NodePort", "clusterIPs": cluster_ips, "ipFamilies": ["IPv4", "IPv6"],
                "sessionAffinity": affinity, "ports": ports(true) } }),
            );
            for (family, index) in [("IPv4", 0), ("IPv6", 1)] {
                let endpoint =
                    |(pod, node): (&Pod, &str)| json!({ "addresses": [ips(pod)[index]], "nodeName": node });
                let nodes = ["lab-node", "lab-node", "elsewhere"];
                let endpoints: Vec<Value> = self.pods.iter().zip(nodes).map(endpoint).collect();
                items.push(json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
                    "metadata": { "name": format!("{name}-{index}"), "labels": { "kubernetes.io/service-name": name } },
                    "ports": ports(false), "endpoints": endpoints }));
            }
        }
        json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
    }
}

fn ips(pod: &Pod) -> [IpAddr; 2] {
    [pod.ipv4().into(), pod.ipv6().into()]
}

impl Drop for Stage {
    fn drop(&mut self) {
        if thread::panicking()
            && let Ok(log) = fs::read_to_string(self.site.directory.path().join("log"))
        {
            eprintln!("the last agent has logged:\n{log}");
        }
        self.agent = None;
        let pins = self.site.pins();
        // A child of another test has the lock open too, until it becomes another program.
        command::wait_until("the pins are removed", || {
            !matches!(self.node().run(|| remove(Path::new(&pins))), Ok(Err(KernelError::Locked { .. })))
        });
    }
}
