//! What the maps say of this node: its name and zone, where NodePorts answer, and whose an address is.

use super::{Engine, Rules};
use crate::{
    cluster::Cluster,
    select::node_port_addresses,
    table::{Frontend, Full, node_text, prefix_of},
    writer::{FrontendKey, Writer},
};
use ahash::AHashSet;
use ipnet::IpNet;
use proxy_common::abi::{FrontendFlags, Network, NetworkKey, NodeFlags, Scope};
use std::net::IpAddr;

impl<W: Writer> Engine<W> {
    /// Plans what makes the maps true to this node.
    ///
    /// # Errors
    /// The map that is full; the rest is planned. Call it again once there is room.
    pub(super) fn plan_node(&mut self) -> Result<(), Full> {
        let node = self.cluster.node();
        let zone = node.and_then(|node| node.zone.as_deref());
        self.table.describe_node(node_text(self.cluster.node_name(), zone), &mut self.plan);
        let Rules { node_ports, localhost_node_ports, .. } = &self.rules;
        let addresses =
            node_port_addresses(node_ports, *localhost_node_ports, node, self.cluster.local_addresses());
        let (loopback, addresses): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_loopback);
        let frontends: Vec<Frontend> = addresses.into_iter().map(node_address).collect();
        let networks = networks(&self.cluster);
        let placed = self.table.set_node_addresses(&frontends);
        let mut flags = NodeFlags::default();
        for address in loopback {
            flags |= if address.is_ipv4() { NodeFlags::LOCALHOST_V4 } else { NodeFlags::LOCALHOST_V6 };
        }
        // A list that is not complete yet says nothing about the ServiceCIDRs that a former agent left.
        let former = self.held && self.table.node_flags().contains(NodeFlags::SERVICE_CIDRS);
        if former || networks.iter().any(|(_, network)| *network == Network::Services) {
            flags |= NodeFlags::SERVICE_CIDRS;
        }
        self.table.set_node_flags(flags, &mut self.plan);
        placed.and(self.table.set_networks(&networks))
    }
}

/// What is known of whole networks: pods and addresses of this node, ServiceCIDRs. Each prefix once; a
/// ServiceCIDR before anything else that claims the very same one.
fn networks(cluster: &Cluster) -> Vec<(NetworkKey, Network)> {
    let services = cluster.service_cidrs().map(|net| (*net, Network::Services));
    let pods = cluster.node().into_iter().flat_map(|node| &node.pod_cidrs).map(|net| (*net, Network::Pods));
    let own = cluster.node().into_iter().flat_map(|node| node.addresses.iter().copied());
    let own = own.chain(cluster.local_addresses().into_iter().flatten().copied());
    let own = own.map(|address| (IpNet::from(address), Network::Node));
    let mut known = AHashSet::new();
    let all = services.chain(pods).chain(own).map(|(net, network)| (key(net), network));
    all.filter(|(key, _)| known.insert(*key)).collect()
}

fn key(net: IpNet) -> NetworkKey {
    let (address, prefix_len) = prefix_of(net);
    NetworkKey { prefix_len, address }
}

/// The frontend that says that NodePorts answer on an address.
fn node_address(address: IpAddr) -> Frontend {
    let key = FrontendKey::new(address, 0, 0, Scope::Address);
    Frontend { key, kind: FrontendFlags::NODE_ADDRESS }
}
