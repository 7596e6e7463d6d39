//! The local network as a whole.

use super::{
    addresses::{CLIENT, GATEWAY, LAN, NODES},
    host::{DEVICE, Host},
    node::{Node, RpFilter},
    overlay::Overlay,
    wan::Wan,
};
use crate::lab::{LabError, Namespace, Scratch};
use std::{
    io,
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
};

/// The switch's bridge.
const BRIDGE: &str = "lan";

/// What a [`Lan`] is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many nodes, at most nine.
    pub nodes: u8,
    /// How the pods of one node reach those of another.
    pub overlay: Overlay,
    /// The nodes' reverse path filtering.
    pub rp_filter: RpFilter,
}

impl Default for Options {
    /// Two nodes, plain routes, strict reverse path filtering.
    fn default() -> Self {
        Self { nodes: 2, overlay: Overlay::Plain, rp_filter: RpFilter::Strict }
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
    /// How many clients there are.
    clients: AtomicU8,
    /// What the CNI plugins remember.
    _leases: Scratch,
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
        let (switch, leases) = (Switch::new()?, Scratch::new()?);
        let wan = Wan::new(|router| switch.plug("router", router, DEVICE))?;
        let nodes = (1..=options.nodes)
            .map(|number| {
                let namespace = Namespace::new(&format!("node-{number}"))?;
                switch.plug(namespace.label(), &namespace, DEVICE)?;
                let Options { overlay, rp_filter, .. } = *options;
                let node = Node::new(namespace, DEVICE, number, overlay, rp_filter, leases.path())?;
                for peer in (1..=options.nodes).filter(|peer| *peer != number) {
                    overlay.add_peer(&node, peer)?;
                }
                Ok(node)
            })
            .collect::<Result<_, LabError>>()?;
        let client = client(&switch, "client", CLIENT)?;
        Ok(Self { switch, nodes, wan, client, clients: AtomicU8::new(1), _leases: leases })
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
        let next = |count: u8| count.checked_add(1).filter(|count| *count < 100);
        let before = self.clients.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let number = before.map_err(|_| {
            LabError::new("add_client", "the network's address range", io::ErrorKind::QuotaExceeded)
        })?;
        client(&self.switch, label, CLIENT + number)
    }

    /// What lies beyond the router.
    #[must_use]
    pub fn wan(&self) -> &Wan {
        &self.wan
    }

    /// The namespace of the switch: its ports are called after the hosts behind them, which is where to
    /// look at what is on the wire.
    #[must_use]
    pub fn switch(&self) -> &Namespace {
        &self.switch.namespace
    }
}

fn client(switch: &Switch, label: &str, number: u8) -> Result<Host, LabError> {
    let namespace = Namespace::new(label)?;
    switch.plug(&format!("client-{number}"), &namespace, DEVICE)?;
    Host::settle(namespace, DEVICE, LAN, number)?.route_all(LAN, GATEWAY)
}

/// The switch: a bridge in a namespace that takes no part in the network itself.
#[derive(Debug)]
struct Switch {
    namespace: Namespace,
}

impl Switch {
    fn new() -> Result<Self, LabError> {
        let namespace = Namespace::new("switch")?;
        namespace.set_sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        // br_netfilter would look into packets, and reassemble them where conntrack is at work.
        for name in ["iptables", "ip6tables", "arptables"] {
            let name = format!("net/bridge/bridge-nf-call-{name}");
            if Path::new("/proc/sys").join(&name).exists() {
                namespace.set_sysctl(&name, "0")?;
            }
        }
        namespace.add_bridge(BRIDGE)?;
        Ok(Self { namespace })
    }

    /// Connects a device of a host to a port.
    fn plug(&self, port: &str, host: &Namespace, device: &str) -> Result<(), LabError> {
        self.namespace.connect(port, host, device)?;
        self.namespace.add_port(BRIDGE, port)
    }
}
