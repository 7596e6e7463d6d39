//! The local network as a whole.

use super::{
    addresses::{CLIENT, GATEWAY, LAN, NODES, RAW, VLAN, of_node},
    frames::Frames,
    host::{DEVICE, Host},
    node::{Node, RpFilter},
    overlay::Overlay,
    switch::Switch,
    tunnel::Tunnel,
    wan::Wan,
};
use crate::lab::{LabError, Namespace, Scratch};
use std::{
    io,
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
};

/// What a [`Lan`] is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes, at most nine.
    pub nodes: u8,
    /// How the pods of one node reach those of another.
    pub overlay: Overlay,
    /// The nodes' reverse path filtering.
    pub rp_filter: RpFilter,
    /// Whether devices leave checksums and segmentation to hardware. With it packets cross the laboratory with
    /// their checksums not yet computed, large ones in one piece, and no receiver verifies anything; without
    /// it every packet is complete, as from another machine, and a wrong checksum is found out.
    pub offload: bool,
}

impl Default for Options {
    /// Two nodes, plain routes, strict reverse path filtering, no offload.
    fn default() -> Self {
        Self { nodes: 2, overlay: Overlay::Plain, rp_filter: RpFilter::Strict, offload: false }
    }
}

/// Nodes, a client and a router on one local network, joined to nothing else; see the [module](super).
/// Dropping it ends the namespaces, as far as no pod, server or process still needs them.
#[derive(Debug)]
pub struct Lan {
    switch: Switch,
    nodes: Vec<Node>,
    wan: Wan,
    client: Host,
    /// How many were added of each.
    clients: AtomicU8,
    frames: AtomicU8,
    tunnels: AtomicU8,
    /// What the CNI plugins remember.
    leases: Scratch,
}

impl Lan {
    /// Makes the network; it has no pods yet.
    ///
    /// # Errors
    /// See [`crate::lab::available`]; [`LabError::is_unsupported`] where the kernel lacks bridges, or VXLAN if
    /// that is asked for.
    pub fn new(options: &Options) -> Result<Self, LabError> {
        if !(1..=NODES).contains(&options.nodes) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, format!("1 to {NODES} nodes, please"));
            return Err(LabError::new("Lan::new", options.nodes, error));
        }
        let (switch, leases) = (Switch::new(options.offload)?, Scratch::new()?);
        let wan = Wan::new(&switch)?;
        let nodes = (1..=options.nodes)
            .map(|number| {
                let namespace = Namespace::new(&format!("node-{number}"))?;
                switch.plug(namespace.label(), &namespace, DEVICE)?;
                let node = Node::new(namespace, number, options, leases.path())?;
                for peer in (1..=options.nodes).filter(|peer| *peer != number) {
                    options.overlay.add_peer(&node, peer)?;
                }
                Ok(node)
            })
            .collect::<Result<_, LabError>>()?;
        let client = client(&switch, "client", CLIENT)?;
        let [clients, frames, tunnels] = [const { AtomicU8::new(0) }; 3];
        Ok(Self { switch, nodes, wan, client, clients, frames, tunnels, leases })
    }

    /// A node, counted from 0: node 0 is 192.0.2.11, and its pods are in 10.244.1.0/24.
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// Every node.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// 192.0.2.100 and 2001:db8:1::100: a neighbour of the nodes. It has no route to pods or Services.
    #[must_use]
    pub fn client(&self) -> &Host {
        &self.client
    }

    /// Adds a neighbour of the nodes: 192.0.2.101 and 2001:db8:1::101 first, and so on.
    ///
    /// # Errors
    /// If it cannot be made, or there are a hundred already.
    pub fn add_client(&self, label: &str) -> Result<Host, LabError> {
        let number = take(&self.clients, RAW - CLIENT - 1, "add_client")? + 1;
        client(&self.switch, label, CLIENT + number)
    }

    /// Adds a host of the local network whose frames the test makes.
    ///
    /// # Errors
    /// If it cannot be made, or there are 55 already.
    pub fn add_frames(&self) -> Result<Frames, LabError> {
        let number = take(&self.frames, u8::MAX - RAW, "add_frames")?;
        let frames = Frames::new(self.switch.port(&format!("raw-{number}"))?, number);
        let neighbours = self.nodes.iter().map(|node| -> &Namespace { node }).chain([self.wan.router()]);
        for neighbour in neighbours {
            neighbour.add_neighbour(DEVICE, frames.ipv4().into(), frames.mac())?;
            neighbour.add_neighbour(DEVICE, frames.ipv6().into(), frames.mac())?;
        }
        Ok(frames)
    }

    /// Connects a client to a node, counted from 0, by a tunnel, with the node's device under this name.
    ///
    /// # Errors
    /// If a device of that name is there already, the machine has no `/dev/net/tun`, or there are 254 tunnels.
    pub fn add_tunnel(&self, node: usize, device: &str) -> Result<Tunnel, LabError> {
        let number = take(&self.tunnels, u8::MAX - 1, "add_tunnel")?;
        Tunnel::new(self.node(node), device, number + 1)
    }

    /// Lays a VLAN: every node gets the device `eth0.ID` with 198.18.0.11 and 2001:db8:18::11 and so on, and a
    /// new client is in it, 198.18.0.100 and 2001:db8:18::100 on its own `eth0.ID`.
    ///
    /// # Errors
    /// [`LabError::is_unsupported`] where the kernel has no VLAN devices; if there is one already.
    pub fn add_vlan(&self, id: u16) -> Result<Host, LabError> {
        let device = format!("{DEVICE}.{id}");
        for (node, number) in self.nodes.iter().zip(1..) {
            node.add_vlan(&device, DEVICE, id)?;
            for (address, prefix) in VLAN.both(of_node(number)) {
                node.add_address(&device, address, prefix)?;
            }
        }
        let namespace = Namespace::new(&format!("client of VLAN {id}"))?;
        self.switch.plug(&format!("vlan-{id}"), &namespace, DEVICE)?;
        namespace.add_vlan(&device, DEVICE, id)?;
        Host::settle(namespace, &device, VLAN, CLIENT)
    }

    /// What lies beyond the router.
    #[must_use]
    pub fn wan(&self) -> &Wan {
        &self.wan
    }

    /// Where the CNI plugins keep the pods' addresses; gone with this value.
    #[must_use]
    pub fn leases(&self) -> &Path {
        self.leases.path()
    }

    /// The namespace of the switch: its ports are called after the hosts behind them, which is where to
    /// look at what is on the wire.
    #[must_use]
    pub fn switch(&self) -> &Namespace {
        &self.switch.namespace
    }
}

/// The next of at most `limit` numbers, from 0.
pub(super) fn take(counter: &AtomicU8, limit: u8, what: &'static str) -> Result<u8, LabError> {
    let next = |count: u8| Some(count + 1).filter(|count| *count <= limit);
    let before = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    before.map_err(|_| LabError::new(what, "the lab's address range", io::ErrorKind::QuotaExceeded))
}

fn client(switch: &Switch, label: &str, number: u8) -> Result<Host, LabError> {
    let namespace = Namespace::new(label)?;
    switch.plug(&format!("client-{number}"), &namespace, DEVICE)?;
    Host::settle(namespace, DEVICE, LAN, number)?.route_all(LAN, GATEWAY)
}
