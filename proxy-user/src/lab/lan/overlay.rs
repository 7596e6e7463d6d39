//! How the pods of one node reach those of another.

use super::{
    addresses::{LAN, Network, of_node, pods, routed_pods},
    host::DEVICE,
};
use crate::lab::{LabError, Mac, Namespace};

/// flannel's name for its device.
const VXLAN: &str = "flannel.1";

/// VXLAN puts 50 bytes before a packet: Ethernet, IPv4, UDP and its own header.
const OVERHEAD: u32 = 50;

/// The MTU of the local network.
const LAN_MTU: u32 = 1500;

/// How the pods of one node reach those of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overlay {
    /// By routes to the other nodes' addresses in the local network, as flannel's host-gw and Calico without
    /// encapsulation.
    Plain,
    /// Through a VXLAN over IPv4, both families, as flannel lays it: device `flannel.1`, which has the first
    /// addresses of the node's pod networks (10.244.1.0, fd00:10:244:1::), and static entries for the others'.
    Vxlan,
}

impl Overlay {
    /// The largest packet of a pod, in bytes.
    #[must_use]
    pub fn mtu(self) -> u32 {
        match self {
            Self::Plain => LAN_MTU,
            Self::Vxlan => LAN_MTU - OVERHEAD,
        }
    }

    /// Prepares a node, counted from 1.
    pub(super) fn set_up(self, namespace: &Namespace, node: u8) -> Result<(), LabError> {
        if self == Self::Plain {
            return Ok(());
        }
        namespace.add_vxlan(VXLAN, DEVICE, LAN.v4(of_node(node)), mac(node), self.mtu())?;
        namespace.add_address(VXLAN, pods(node).v4(0).into(), 32)?;
        namespace.add_address(VXLAN, pods(node).v6(0).into(), 128)
    }

    /// Tells a node the way to the pods of another one.
    pub(super) fn add_peer(self, namespace: &Namespace, peer: u8) -> Result<(), LabError> {
        match self {
            Self::Plain => add_routes(namespace, peer, LAN, of_node(peer), DEVICE),
            Self::Vxlan => {
                namespace.add_vxlan_peer(VXLAN, mac(peer), LAN.v4(of_node(peer)))?;
                for (gateway, _) in pods(peer).both(0) {
                    namespace.add_neighbour(VXLAN, gateway, mac(peer))?;
                }
                add_routes(namespace, peer, pods(peer), 0, VXLAN)
            }
        }
    }
}

fn add_routes(
    namespace: &Namespace,
    peer: u8,
    via: Network,
    number: u8,
    device: &str,
) -> Result<(), LabError> {
    for network in [pods(peer), routed_pods(peer)] {
        for ((range, prefix), (gateway, _)) in network.both(0).into_iter().zip(via.both(number)) {
            namespace.add_route(range, prefix, Some(gateway), device)?;
        }
    }
    Ok(())
}

/// The hardware address of a node's VXLAN device: a locally administered one.
const fn mac(node: u8) -> Mac {
    [0x02, 0xf1, 0, 0, 0, node]
}
