//! Clients outside of a cluster, and a node through which they reach its services: as a NodePort, or by routes.

use crate::{
    cluster::{NODE, Port, SampleCluster},
    stage::Stage,
};
use anyhow::{Context as _, Result, ensure};
use proxy_common::abi::{DeviceEntry, PacketFlags, PacketSettings};
use shunt::{
    kernel::sys::devices,
    lab::{
        lan::{Lan, Node, Options, Pod},
        ping,
    },
    model::{self, Device, Event, ServiceType},
};
use std::{net::IpAddr, time::Duration};

/// The device that leads to clients and to other nodes.
pub const LINK: &str = "eth0";

/// Where the backend of every service is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// On the node that clients send to.
    Local,
    /// On another node: the answers come back through the first one.
    Remote,
}

impl Backend {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Local, Self::Remote];

    /// How it is called in a report.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// A client, two nodes, and a pod on either. Devices do as hardware does: they leave checksums and segmentation to
/// the last one.
#[derive(Debug)]
pub struct Outside {
    /// All of it.
    pub lan: Lan,
    local: Pod,
    remote: Pod,
}

impl Outside {
    /// Makes them, with routes by which packets between client and pods go through the first node, both ways.
    ///
    /// # Errors
    /// Where the lab cannot be made.
    pub fn new() -> Result<Self> {
        let lan = Lan::new(&Options { offload: true, ..Options::default() })?;
        let local = lan.node(0).add_pod("local")?;
        let remote = lan.node(1).add_pod("remote")?;
        let node: IpAddr = lan.node(0).ipv4().into();
        for pod in [&local, &remote] {
            lan.client().add_route(pod.ipv4().into(), 32, Some(node), LINK)?;
        }
        lan.node(1).add_route(lan.client().ipv4().into(), 32, Some(node), LINK)?;
        for node in lan.nodes() {
            for conf in ["all", LINK] {
                node.set_sysctl(&format!("net/ipv4/conf/{conf}/send_redirects"), "0")?;
            }
        }
        let outside = Self { lan, local, remote };
        // Every neighbour is known from now on.
        let all = [outside.local.ipv4(), outside.lan.node(1).ipv4(), outside.lan.client().ipv4()];
        for neighbour in all {
            outside.node().run(|| ping(neighbour.into(), Duration::from_secs(5)))?.context("ping")?;
        }
        Ok(outside)
    }

    /// The node that clients send to.
    #[must_use]
    pub fn node(&self) -> &Node {
        self.lan.node(0)
    }

    /// The pod of a backend.
    #[must_use]
    pub fn pod(&self, backend: Backend) -> &Pod {
        match backend {
            Backend::Local => &self.local,
            Backend::Remote => &self.remote,
        }
    }

    /// A stage of services with these ports, all with one backend; the one in the middle is a NodePort too. The
    /// programs are attached nowhere.
    ///
    /// # Errors
    /// Where the engine or the kernel refuses.
    pub fn stage(
        &self,
        services: u32,
        ports: Vec<Port>,
        backend: Backend,
        node_ports: &[u16],
    ) -> Result<Stage> {
        let node = if backend == Backend::Local { NODE } else { "another" };
        let cluster = SampleCluster::shared(services, ports, vec![self.pod(backend).ipv4()]).on_node(node);
        let (mut stage, service) = (Stage::filled(cluster)?, services / 2);
        let mut object = stage.cluster.service(service);
        object.kind = ServiceType::NodePort;
        for (port, node_port) in object.ports.iter_mut().zip(node_ports) {
            port.node_port = Some(*node_port);
        }
        let address: IpAddr = self.node().ipv4().into();
        let node = model::Node { name: NODE.into(), addresses: vec![address], ..model::Node::default() };
        for event in
            [Event::ServiceApplied(object), Event::NodeApplied(node), Event::LocalAddresses(vec![address])]
        {
            stage.engine.apply(event);
        }
        stage.engine.sync()?;
        ensure!(stage.engine.unplaced().is_empty(), "does not fit: {:?}", stage.engine.unplaced().first());
        let settings = PacketSettings { flags: PacketFlags::default(), first_port: 10_240, ports: 50_000 };
        stage.programs.packets().set_settings(&settings);
        Ok(stage)
    }

    /// A device of the node, and what the programs are told of it.
    ///
    /// # Errors
    /// Where there is no such device.
    pub fn device(&self, name: &str) -> Result<(Device, DeviceEntry)> {
        let mut all = self.node().run(devices)?.context("RTM_GETLINK")?.into_iter();
        let device = all.find(|device| device.name == name).with_context(|| format!("no device {name}"))?;
        let address = device.addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        let address4 = address.map_or(0, |address| u32::from_ne_bytes(address.octets()));
        let entry = DeviceEntry { address4, mtu: device.mtu, ..DeviceEntry::default() };
        Ok((device, entry))
    }
}
