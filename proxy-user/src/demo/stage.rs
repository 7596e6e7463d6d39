//! Everything that the acts play on: the lab, its servers, the manifests and the agent.

use super::{
    agent::Agent,
    interrupt::Interrupt,
    manifests::Manifests,
    needs,
    report::Report,
    target::{Named, Target},
    text, wait_until,
};
use crate::{
    kernel::{self, Kernel, PinnedMaps},
    lab::{Bpffs, Cgroup, Lab, LabError, Place, TcpServer, UdpServer},
    model::{Family, Protocol},
    view::{PortView, decode},
};
use anyhow::Context as _;
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const PODS: usize = 4;
/// Where the pods serve `web`, `cart` and `kube-dns`.
const WEB_PORT: u16 = 8080;
const CART_PORT: u16 = 8081;
const DNS_PORT: u16 = 5353;
/// How long the agent may take to load its programs and program what the manifests say.
const READY: Duration = Duration::from_secs(15);

/// The stage. Dropping it removes it, the agent first.
pub struct Stage {
    /// The agent.
    pub agent: Agent,
    maps: Option<PinnedMaps>,
    pins: PathBuf,
    /// What the agent follows.
    pub manifests: Manifests,
    directory: TempDir,
    _servers: Servers,
    bpffs: Bpffs,
    /// Where the clients are: the programs are attached to it, and to nothing else.
    pub cgroup: Cgroup,
    /// The node and its pods.
    pub lab: Lab,
    /// Asks the demo to end.
    pub interrupt: Interrupt,
}

/// What runs in the pods.
#[derive(Default)]
struct Servers {
    tcp: Vec<TcpServer>,
    udp: Vec<UdpServer>,
}

impl Stage {
    /// Makes it, and returns when the agent has programmed what the demo needs.
    pub fn set(manifests: &Path, interrupt: &Interrupt, report: &mut Report) -> anyhow::Result<Self> {
        let start = Instant::now();
        let lab = Lab::new(PODS)?;
        let cgroup = Cgroup::new()?;
        let bpffs = Bpffs::new()?;
        let servers = Servers::start(&lab)?;
        report.note(
            "A node and four pods, each in a network namespace of its own; no route out.",
            &text::time(start.elapsed()),
        )?;

        let start = Instant::now();
        let directory = TempDir::with_prefix("shunt-demo-").context("making a temporary directory")?;
        let copy = Manifests::copy(manifests, directory.path().join("manifests"))?;
        let pins = bpffs.path().join("shunt");
        let log = directory.path().join("agent.log");
        // The agent's own network namespace is what it takes for the node's.
        let mut agent = Agent::start(lab.node().into(), copy.path(), cgroup.path(), &pins, log)?;
        let (maps, ports) = ready(&mut agent, &pins, interrupt)?;
        let endpoints: usize = ports.iter().map(|port| port.cluster.len()).sum();
        report.note(
            format_args!(
                "The agent follows a copy of the manifests: {} service ports, {endpoints} endpoints.",
                ports.len()
            ),
            &text::time(start.elapsed()),
        )?;
        Ok(Self {
            agent,
            maps: Some(maps),
            pins,
            manifests: copy,
            directory,
            _servers: servers,
            bpffs,
            cgroup,
            lab,
            interrupt: interrupt.clone(),
        })
    }

    /// A service port of one family, as the kernel holds it now.
    pub fn target(&self, service: Named, protocol: Protocol, family: Family) -> anyhow::Result<Target> {
        let targets = self.targets(service)?.into_iter();
        let mut wanted = targets.filter(|target| (target.protocol, target.family) == (protocol, family));
        wanted.next().with_context(|| format!("{service} {protocol} {family} is not programmed"))
    }

    /// Every service port of a Service, as the kernel holds it now.
    pub fn targets(&self, service: Named) -> anyhow::Result<Vec<Target>> {
        let maps = self.maps.as_ref().context("the pins are removed")?;
        let ports = decode(maps)?;
        Ok(ports.iter().filter_map(|port| Target::of(port, service, |ip| self.pod_at(ip))).collect())
    }

    /// Where a service port is dialled by its NodePort at the node's own address.
    pub fn at_node(&self, target: &Target) -> anyhow::Result<SocketAddr> {
        let node: IpAddr = match target.family {
            Family::V4 => self.lab.node().ipv4().into(),
            Family::V6 => self.lab.node().ipv6().into(),
        };
        let port = target.node_port.with_context(|| format!("{target} has no NodePort"))?;
        Ok(SocketAddr::new(node, port))
    }

    /// Where clients are: in the node's namespace and in the first pod's.
    pub fn clients(&self) -> [Place; 2] {
        [self.cgroup.at(self.lab.node()), self.in_pod(0)]
    }

    /// Where clients of a pod are, counted from 0.
    pub fn in_pod(&self, index: usize) -> Place {
        self.cgroup.at(self.lab.pod(index))
    }

    /// Names of the pods, which their servers answer with.
    pub fn pods(&self) -> Vec<String> {
        (0..PODS).map(pod_name).collect()
    }

    /// Addresses of a pod of the lab, by its name.
    pub fn addresses_of(&self, name: &str) -> Vec<IpAddr> {
        let pods = self.lab.pods().iter().enumerate();
        pods.filter(|(index, _)| pod_name(*index) == name)
            .flat_map(|(_, pod)| [pod.ipv4().into(), pod.ipv6().into()])
            .collect()
    }

    /// Detaches the programs and removes all pins, once the agent has ended.
    pub fn remove_pins(&mut self) -> anyhow::Result<()> {
        self.maps = None;
        Ok(kernel::remove(&self.pins)?)
    }

    /// Removes everything, and tells what could not be removed.
    pub fn strike(mut self) -> anyhow::Result<Vec<String>> {
        self.remove_pins()?;
        let paths = [self.bpffs.path(), self.cgroup.path(), self.directory.path()].map(Path::to_owned);
        drop(self);
        Ok(paths.iter().filter(|path| path.exists()).map(|path| path.display().to_string()).collect())
    }

    fn pod_at(&self, address: IpAddr) -> String {
        let has = |pod: &crate::lab::Pod| match address {
            IpAddr::V4(ip) => pod.ipv4() == ip,
            IpAddr::V6(ip) => pod.ipv6() == ip,
        };
        self.lab.pods().iter().position(has).map_or_else(|| address.to_string(), pod_name)
    }
}

impl Servers {
    /// Each pod serves `web`, `cart` and `kube-dns` at both of its addresses.
    fn start(lab: &Lab) -> Result<Self, LabError> {
        let mut servers = Self::default();
        for (index, pod) in lab.pods().iter().enumerate() {
            let name = pod_name(index);
            for ip in [IpAddr::V4(pod.ipv4()), IpAddr::V6(pod.ipv6())] {
                for port in [WEB_PORT, CART_PORT, DNS_PORT] {
                    servers.tcp.push(TcpServer::start_echo(pod, &name, SocketAddr::new(ip, port))?);
                }
                servers.udp.push(UdpServer::start(pod, &name, SocketAddr::new(ip, DNS_PORT))?);
            }
        }
        Ok(servers)
    }
}

/// People count pods from one.
fn pod_name(index: usize) -> String {
    format!("pod-{}", index + 1)
}

/// Waits until everything that the acts dial is programmed.
fn ready(
    agent: &mut Agent,
    pins: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<(PinnedMaps, Vec<PortView>)> {
    let mut maps = None;
    let mut ports = Vec::new();
    let is_ready = wait_until(READY, interrupt, || {
        agent.check()?;
        if maps.is_none() {
            // Until the agent has pinned all of them.
            maps = Kernel::read_only(pins).ok();
        }
        if let Some(maps) = &maps {
            ports = decode(maps)?;
        }
        Ok(needs::missing(&ports).is_empty())
    })?;
    if let (true, Some(maps)) = (is_ready, maps) {
        return Ok((maps, ports));
    }
    let (missing, log) = (needs::missing(&ports).join(", "), agent.log_end());
    anyhow::bail!("the agent has not programmed {missing} within {READY:?}; its log ends:\n{log}")
}
