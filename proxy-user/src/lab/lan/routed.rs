//! Pods without a bridge, as Calico connects them: a veth pair whose end on the node has no address, and
//! a route to each pod.

use super::{
    addresses::DEFAULT,
    host::DEVICE,
    pod::{Pod, PodLink},
};
use crate::lab::{LabError, Mac, Namespace, netlink, settle};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Every such device has this hardware address (Calico, cni-plugin/pkg/dataplane/linux), so pods keep
/// their neighbour when the other end is made anew.
const MAC: Mac = [0xee; 6];
/// The address that the kernel derives from it (RFC 4291, appendix A): the pods' IPv6 gateway.
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0xecee, 0xeeff, 0xfeee, 0xeeee);
/// The pods' IPv4 gateway, which nobody has: the node answers for it by proxy ARP.
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Connects a pod.
pub(super) fn connect(
    node: &Namespace,
    node_device: String,
    label: &str,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
    mtu: u32,
) -> Result<Pod, LabError> {
    let namespace = Namespace::new(label)?;
    netlink::add_veth(node, &node_device, &namespace, DEVICE)?;
    // While it is down: the kernel derives the link-local address when it comes up.
    node.set_mac(&node_device, MAC)?;
    node.set_mtu(&node_device, mtu)?;
    namespace.set_mtu(DEVICE, mtu)?;
    node.set_up_pair(&node_device, &namespace, DEVICE)?;
    node.set_sysctls(&[
        (&format!("net/ipv4/neigh/{node_device}/proxy_delay"), "0"),
        (&format!("net/ipv4/conf/{node_device}/proxy_arp"), "1"),
        (&format!("net/ipv4/conf/{node_device}/route_localnet"), "1"),
        (&format!("net/ipv6/conf/{node_device}/proxy_ndp"), "1"),
    ])?;
    node.add_route(ipv4.into(), 32, None, &node_device)?;
    node.add_route(ipv6.into(), 128, None, &node_device)?;
    namespace.add_address(DEVICE, ipv4.into(), 32)?;
    namespace.add_address(DEVICE, ipv6.into(), 128)?;
    namespace.add_route(GATEWAY_V4.into(), 32, None, DEVICE)?;
    for (everything, gateway) in DEFAULT.into_iter().zip([GATEWAY_V4.into(), GATEWAY_V6.into()]) {
        namespace.add_route(everything, 0, Some(gateway), DEVICE)?;
    }
    settle::answers_to(node, &node_device, GATEWAY_V6)?;
    Ok(Pod { namespace, ipv4, ipv6, node_device, link: PodLink::Routed })
}
