//! What the maps say of this node: its name and zone, where NodePorts answer, and whose an address is.

use super::{Engine, Rules};
use crate::{
    cluster::Cluster,
    select::node_port_addresses,
    table::{Frontend, Full, node_text, prefix_of},
    writer::{FrontendKey, Writer},
};
use ahash::AHashSet;
use ipnet::{IpNet, Ipv6Net};
use proxy_common::abi::{FrontendFlags, Network, NetworkKey, NodeFlags, Scope};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits of an IPv4-mapped address before the IPv4 address.
const MAPPED_BITS: u8 = 96;

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
        // What no Service has is dropped only once every Service was programmed; and a list that is not complete yet
        // says nothing about the ServiceCIDRs that a former agent left.
        let former = self.table.node_flags().contains(NodeFlags::SERVICE_CIDRS);
        let known = networks.iter().any(|(_, network)| *network == Network::Services);
        if former && self.held || known && (former || self.filled) {
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
    let all = services.chain(pods).chain(own);
    let all = all.flat_map(|(net, network)| around_ipv4(net).into_iter().map(move |net| (key(net), network)));
    all.filter(|(key, _)| known.insert(*key)).collect()
}

/// The maps keep IPv4 addresses among those of IPv6, in `::ffff:0:0/96`. An IPv6 network that holds it (`::/0`)
/// says nothing of IPv4, so it is taken as the networks that are left of it without that one.
fn around_ipv4(net: IpNet) -> Vec<IpNet> {
    let mapped = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
    let IpNet::V6(v6) = net else { return vec![net] };
    if v6.prefix_len() > MAPPED_BITS || !v6.contains(&mapped) {
        return vec![net];
    }
    // Beside each longer prefix of the one that is left out lies one that stays.
    let beside = |bits: u8| Ipv6Addr::from_bits(mapped.to_bits() ^ 1 << (u128::BITS - u32::from(bits)));
    let nets =
        (v6.prefix_len() + 1..=MAPPED_BITS).map(|bits| Ipv6Net::new_assert(beside(bits), bits).trunc());
    nets.map(IpNet::V6).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_says_nothing_of_ipv4_addresses() {
        let nets = |text: &str| around_ipv4(text.parse().unwrap());
        for whole in ["10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::ffff:0:0/97", "::/128"] {
            assert_eq!(nets(whole), [whole.parse().unwrap()], "{whole}");
        }
        assert_eq!(nets("::ffff:0:0/96"), []);
        assert_eq!(nets("::fffe:0:0/95"), ["::fffe:0:0/96".parse().unwrap()]);
        let mapped: Ipv6Addr = "::ffff:10.0.0.1".parse().unwrap();
        let others = ["::", "::1", "::fffe:a00:1", "::1:ffff:a00:1", "fd00::1", "8000::", "64:ff9b::a00:1"];
        for bits in 0..=80 {
            let wide = Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, bits);
            let left = around_ipv4(wide.into());
            let holds =
                |address: &Ipv6Addr| left.iter().filter(|net| net.contains(&IpAddr::V6(*address))).count();
            assert_eq!(holds(&mapped), 0, "{wide}");
            for other in others.map(|text| text.parse().unwrap()) {
                assert_eq!(holds(&other), usize::from(wide.contains(&other)), "{other} in {wide}");
            }
        }
    }
}
