//! The stage: nodes on a local network, Shunt on the first of them (or on several), and a client outside.
#![allow(dead_code, reason = "two test binaries use a part of it each")]

use crate::{
    ask::{Dial, Seen},
    backend::Backend,
    clean::{Rulesets, assert_no_program, wait_until},
    service::{self, Kind},
};
use proxy_common::abi::{Counter, PacketFlags, PacketSettings};
use shunt::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    kernel::{Collector, KernelError, remove, sys},
    lab::{
        Bpffs, Cgroup, Place,
        lan::{self, Host, Lan, Overlay},
    },
    model::{EndpointSlice, Event, Family, Node, Service},
    select::{Glob, PacketDevices, select_devices, source_ports},
    writer::{Capacities, MapReader as _},
};
use std::{collections::BTreeMap, net::IpAddr, ops::RangeInclusive, path::PathBuf, sync::LazyLock};

/// What a stage is to be like.
pub struct Setup {
    /// The local network.
    pub lan: lan::Options,
    /// How many of the nodes, from the first on, have Shunt.
    pub shunts: usize,
    /// Whether the devices of pods are known as such: `--pod-interfaces cni0,cali*`.
    pub pods: bool,
    /// `--masquerade always`.
    pub masquerade_always: bool,
    /// `--snat-ports`; none for an empty range.
    pub ports: RangeInclusive<u16>,
    /// Attached by clsact, even where the kernel has tcx.
    pub clsact: bool,
    /// Entries of FLOWS.
    pub flows: u32,
    /// Services and frontends that the maps hold at first.
    pub services: u32,
    /// The operator's other switches.
    pub rules: Rules,
}

impl Default for Setup {
    /// Two nodes with plain routes, Shunt on the first, and the agent's defaults.
    fn default() -> Self {
        Self {
            lan: lan::Options::default(),
            shunts: 1,
            pods: false,
            masquerade_always: false,
            ports: source_ports(&(32_768..=60_999)).unwrap(),
            clsact: false,
            flows: 16_384,
            services: 128,
            rules: Rules::default(),
        }
    }
}

/// Shunt on one node: what `shunt run` keeps there, told by the test what the cluster holds.
struct Shunt {
    dataplane: Dataplane,
    devices: PacketDevices,
    pin_path: PathBuf,
    cgroup: Cgroup,
    before: Rulesets,
    /// Last: what is pinned goes with it.
    bpffs: Bpffs,
}

/// Nodes, Shunt and a client. Backends are made by it and dropped before it.
pub struct Stage {
    shunts: Vec<Shunt>,
    overlay: Overlay,
    lan: Lan,
}

impl Stage {
    /// `None`, with the reason printed, where no lab can be made.
    pub fn new(setup: &Setup) -> Option<Self> {
        static AVAILABLE: LazyLock<Result<(), String>> = LazyLock::new(shunt::lab::available);
        if let Err(reason) = &*AVAILABLE {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        let lan = Lan::new(&setup.lan).unwrap();
        let shunts = lan.nodes()[..setup.shunts].iter().map(|node| Shunt::start(node, setup)).collect();
        let stage = Self { shunts, overlay: setup.lan.overlay, lan };
        stage.route_services(stage.lan.client());
        stage.lan.nodes()[..setup.shunts].iter().for_each(|node| stage.each_neighbour_knows(node));
        Some(stage)
    }

    /// The usual stage.
    pub fn usual() -> Option<Self> {
        Self::new(&Setup::default())
    }

    pub fn lan(&self) -> &Lan {
        &self.lan
    }

    pub fn node(&self) -> &lan::Node {
        self.lan.node(0)
    }

    pub fn client(&self) -> &Host {
        self.lan.client()
    }

    /// Another neighbour of the nodes, which sends what is for Services to the first node.
    pub fn add_client(&self, label: &str) -> Host {
        let client = self.lan.add_client(label).unwrap();
        self.route_services(&client);
        client
    }

    /// Lets a neighbour send what is for ClusterIPs, load-balancer and external addresses to the first node.
    pub fn route_services(&self, host: &Host) {
        for (network, prefix) in service::NETWORKS {
            let network: IpAddr = network.parse().unwrap();
            host.add_route(network, prefix, Some(self.node().ip_like(network)), host.device()).unwrap();
        }
    }

    /// The first packet to a neighbour whose hardware address is not known waits; no test is about that.
    fn each_neighbour_knows(&self, node: &lan::Node) {
        for ip in [IpAddr::from(node.ipv4()), node.ipv6().into()] {
            let asked = self.client().run(|| shunt::lab::ping(ip, crate::ask::PATIENCE)).unwrap();
            asked.unwrap_or_else(|error| panic!("{}: {error}", node.name()));
        }
    }

    /// A pod on the bridge of a node, counted from 0.
    pub fn pod(&mut self, node: usize, name: &str) -> Backend {
        let pod = self.lan.node(node).add_pod(name).unwrap();
        self.follow_devices();
        Backend::in_pod(self.lan.node(node), pod, name)
    }

    /// A pod that a node routes to, with no bridge between.
    pub fn routed_pod(&mut self, node: usize, name: &str) -> Backend {
        let pod = self.lan.node(node).add_routed_pod(name).unwrap();
        self.follow_devices();
        Backend::in_pod(self.lan.node(node), pod, name)
    }

    /// A pod on the bridge of a node where nobody listens yet.
    pub fn bare_pod(&mut self, node: usize, name: &str) -> Backend {
        let pod = self.lan.node(node).add_pod(name).unwrap();
        self.follow_devices();
        Backend::bare(self.lan.node(node), pod, name)
    }

    /// A pod in the network of its node.
    pub fn host_pod(&self, node: usize, name: &str) -> Backend {
        Backend::on_node(self.lan.node(node), name)
    }

    /// These frontends of a Service on the first node, in both families and over both protocols.
    pub fn dials(&self, number: u8, kinds: &[Kind]) -> Vec<Dial> {
        service::dials(number, kinds, self.node())
    }

    /// Who the first node is on the local network.
    pub fn as_node(&self) -> Seen {
        Seen::Ips([self.node().ipv4().into(), self.node().ipv6().into()])
    }

    /// Who a node is to pods of other nodes: the address of the device that leads there.
    pub fn as_peer(&self, node: &lan::Node) -> Seen {
        match self.overlay {
            Overlay::Plain => Seen::Ips([node.ipv4().into(), node.ipv6().into()]),
            // The first ones of its pods' networks.
            Overlay::Vxlan => Seen::Ips([0, 1].map(|network| node.pod_networks()[network].0)),
        }
    }

    /// Who the first node is to pods on its bridge.
    pub fn as_bridge(&self) -> Seen {
        Seen::Ips(["10.244.1.1", "fd00:10:244:1::1"].map(|ip| ip.parse().unwrap()))
    }

    /// What the agent does when devices have changed. Call it after adding devices.
    pub fn follow_devices(&mut self) {
        for (shunt, node) in self.shunts.iter_mut().zip(self.lan.nodes()) {
            node.run(|| shunt.follow_devices()).unwrap();
        }
    }

    /// Has every Shunt know a Service and its endpoints, which replace those it had.
    pub fn serve(&mut self, service: &Service, endpoints: &[service::Endpoint]) {
        let slices = Family::BOTH.map(|family| service::slice(service, family, endpoints));
        self.apply(slices.map(Event::SliceApplied));
        self.apply([Event::ServiceApplied(service.clone())]);
    }

    /// Has every Shunt forget a Service and its endpoints.
    pub fn forget(&mut self, service: &Service) {
        let slices = Family::BOTH.map(|family| service::slice(service, family, &[]));
        self.apply([Event::ServiceDeleted(service.name.clone())]);
        self.apply(slices.map(|slice: EndpointSlice| Event::SliceDeleted(slice.name)));
    }

    /// Tells every Shunt of changes, and programs them.
    pub fn apply(&mut self, events: impl IntoIterator<Item = Event> + Clone) {
        for shunt in &mut self.shunts {
            events.clone().into_iter().for_each(|event| shunt.dataplane.apply(event));
            let report = shunt.dataplane.sync().unwrap();
            assert!(report.newly_unplaced.is_empty(), "{report:?}");
        }
    }

    /// Has the maps of the first node grow, and says from which sizes to which.
    #[allow(dead_code, reason = "the tests of kernel_grow/ use it")]
    pub fn grow(&mut self, grown: fn(&Capacities) -> Capacities) -> (Capacities, Capacities) {
        let Self { shunts, lan, .. } = self;
        let dataplane = &mut shunts[0].dataplane;
        let before = dataplane.engine().writer().capacities();
        let after = lan.node(0).run(|| dataplane.grow(&grown(&before))).unwrap().unwrap();
        (before, after)
    }

    /// Has another agent take over from the first node's as if that had been another version's, told of these changes.
    #[allow(dead_code, reason = "the tests of kernel_grow/ use it")]
    pub fn upgrade(&mut self, setup: &Setup, version: &str, events: Vec<Event>) {
        let shunt = self.shunts.remove(0);
        self.shunts.insert(0, shunt.upgraded(self.lan.node(0), setup, version, events));
    }

    /// Waits until no program works with what was replaced.
    pub fn settle(&mut self) {
        self.shunts.iter_mut().for_each(|shunt| shunt.dataplane.settle().unwrap());
    }

    /// How the packet path of the first node works from now on.
    pub fn set_packets(&mut self, settings: &PacketSettings) {
        self.shunts[0].dataplane.set_packets(settings);
    }

    /// A counter of the first node.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.shunts[0].dataplane.counter(counter).unwrap()
    }

    /// Runs `work` and says what it adds to counters of the first node.
    pub fn counted<T, const N: usize>(&self, of: [Counter; N], work: impl FnOnce() -> T) -> (T, [u64; N]) {
        let before = of.map(|counter| self.counter(counter));
        let value = work();
        let after = of.map(|counter| self.counter(counter));
        (value, std::array::from_fn(|index| after[index] - before[index]))
    }

    /// Where Shunt of the first node has its pins.
    #[allow(dead_code, reason = "the tests of packet_links/ use it")]
    pub fn pin_path(&self) -> PathBuf {
        self.shunts[0].pin_path.clone()
    }

    /// A place whose sockets Shunt of the first node sees: the socket path.
    pub fn with_sockets(&self, place: impl Into<Place>) -> Place {
        self.shunts[0].cgroup.at(place)
    }

    /// Ends Shunt everywhere, and asserts that nothing of it is left: no flow, program, pin or netfilter rule, and
    /// nothing in the programs that must not happen has happened.
    pub fn assert_nothing_left(self) {
        let Self { shunts, lan, .. } = self;
        for (shunt, node) in shunts.into_iter().zip(lan.nodes()) {
            shunt.end(node);
        }
    }
}

impl Shunt {
    fn start(node: &lan::Node, setup: &Setup) -> Self {
        let before = Rulesets::of(node);
        before.assert_empty(node);
        let (bpffs, cgroup) = (Bpffs::new().unwrap(), Cgroup::new().unwrap());
        let pin_path = bpffs.path().join("shunt");
        let options = options(&cgroup, &pin_path, setup);
        let pods = if setup.pods { Glob::list("cni0,cali*").unwrap() } else { Vec::new() };
        let opened = node.run(|| Dataplane::open(node.name(), setup.rules.clone(), &options)).unwrap();
        let devices = PacketDevices { interfaces: None, pods };
        let mut shunt = Self { dataplane: opened.unwrap(), devices, pin_path, cgroup, before, bpffs };
        shunt.dataplane.apply(Event::NodeApplied(object(node)));
        shunt.dataplane.sync().unwrap();
        let flags =
            if setup.masquerade_always { PacketFlags::MASQUERADE_ALWAYS } else { PacketFlags::default() };
        let (first_port, ports) = (*setup.ports.start(), setup.ports.len() as u16);
        shunt.dataplane.set_packets(&PacketSettings { flags, first_port, ports });
        node.run(|| shunt.follow_devices()).unwrap();
        shunt
    }

    fn upgraded(self, node: &lan::Node, setup: &Setup, version: &str, events: Vec<Event>) -> Self {
        let Self { dataplane, devices, pin_path, cgroup, before, bpffs } = self;
        drop(dataplane);
        std::fs::rename(pin_path.join("v4"), pin_path.join(version)).unwrap();
        let options = options(&cgroup, &pin_path, setup);
        let opened = node.run(|| Dataplane::open(node.name(), setup.rules.clone(), &options)).unwrap();
        let mut shunt = Self { dataplane: opened.unwrap(), devices, pin_path, cgroup, before, bpffs };
        shunt.dataplane.apply(Event::NodeApplied(object(node)));
        events.into_iter().for_each(|event| shunt.dataplane.apply(event));
        node.run(|| {
            shunt.follow_devices();
            shunt.dataplane.sync().unwrap();
            shunt.follow_devices();
        })
        .unwrap();
        shunt
    }

    /// To be called in the node's network namespace.
    fn follow_devices(&mut self) {
        let node = self.dataplane.engine().cluster().node().unwrap().addresses.clone();
        let chosen = select_devices(&sys::devices().unwrap(), &self.devices, &node);
        let wanted: BTreeMap<_, _> = chosen.iter().map(|device| (device.index, device.entry)).collect();
        let report = self.dataplane.set_devices(&wanted).unwrap();
        assert!(report.failed.is_empty(), "{report:?}");
    }

    fn end(self, node: &lan::Node) {
        let Self { dataplane, pin_path, cgroup, before, bpffs, .. } = self;
        assert_eq!(dataplane.counter(Counter::Inconsistent).unwrap(), 0, "Inconsistent is a bug");
        // A time at which every flow has been silent for longer than any may be.
        let later = u32::MAX;
        let maps = dataplane.engine().writer();
        let mut collector = Collector::default();
        while !maps.collect_flows(&mut collector, later).unwrap().finished {}
        let mut again = Collector::default();
        assert_eq!(maps.collect_flows(&mut again, later).unwrap().looked, 0, "flows are left");
        drop(dataplane);
        // A child of another test has the lock open too, until it becomes another program.
        wait_until("everything is removed", || match node.run(|| remove(&pin_path)).unwrap() {
            Err(KernelError::Locked { holder: None, .. }) => false,
            removed => removed.map(|()| true).unwrap(),
        });
        assert!(!pin_path.exists());
        assert_no_program(node, cgroup.path());
        before.assert_same(node);
        drop(bpffs);
    }
}

fn options(cgroup: &Cgroup, pin_path: &std::path::Path, setup: &Setup) -> Options {
    Options {
        cgroup: cgroup.path().to_owned(),
        pin_path: pin_path.to_owned(),
        capacities: capacities(setup),
        clsact: setup.clsact,
        ..Options::default()
    }
}

/// Small maps: a stage is made in each test.
fn capacities(setup: &Setup) -> Capacities {
    Capacities {
        frontends: setup.services * 8,
        services: setup.services,
        slots: 1_024,
        backends: 512,
        name_cells: 512,
        sockets: 1_024,
        affinities: 1_024,
        flows: setup.flows,
        prefixes: 1_024,
    }
}

/// The Node object of a node.
pub fn object(node: &lan::Node) -> Node {
    let networks = node.pod_networks();
    Node {
        name: node.name().into(),
        zone: None,
        addresses: vec![node.ipv4().into(), node.ipv6().into()],
        pod_cidrs: networks.iter().map(|(ip, prefix)| format!("{ip}/{prefix}").parse().unwrap()).collect(),
        ..Node::default()
    }
}
