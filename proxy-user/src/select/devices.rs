//! Which devices of the node the packet programs are attached to, and what they are told of each.

use super::{Glob, PacketDevices};
use crate::model::{Device, Family};
use proxy_common::abi::{Address, DeviceEntry, DeviceFlags};
use std::net::IpAddr;

/// Drivers of tunnels, by IFLA_INFO_KIND. `tun` stands for tap too, which is the host's end of a virtual machine:
/// that has a link header.
const TUNNELS: [&str; 16] = [
    "vxlan",
    "geneve",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "erspan",
    "ip6erspan",
    "ipip",
    "ip6tnl",
    "sit",
    "vti",
    "vti6",
    "xfrm",
    "wireguard",
    "bareudp",
];

/// A device that the packet programs are to be attached to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChosenDevice {
    /// Its index in the node's network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What the programs are told.
    pub entry: DeviceEntry,
}

/// The devices to attach to, in the order of `devices`. `node` are the Node object's addresses.
///
/// By default those that carry a default route or have an address of global scope, and tunnels that are up. The
/// host's ends of pods' links have neither, so they are left out. Loopback never counts: what a node sends to
/// itself is its sockets' affair.
#[must_use]
pub fn select_devices(devices: &[Device], rules: &PacketDevices, node: &[IpAddr]) -> Vec<ChosenDevice> {
    let spare = Family::BOTH.map(|family| node_address(devices, node, family));
    let chosen = devices.iter().filter(|device| !device.is_loopback()).filter_map(|device| {
        let is_pods = matches(&rules.pods, device);
        let is_chosen = match &rules.interfaces {
            Some(globs) => matches(globs, device),
            None => is_default(device),
        };
        (is_pods || is_chosen).then(|| ChosenDevice {
            index: device.index,
            name: device.name.clone(),
            entry: entry(device, is_pods, spare),
        })
    });
    chosen.collect()
}

fn matches(globs: &[Glob], device: &Device) -> bool {
    globs.iter().any(|glob| glob.matches(&device.name))
}

fn is_default(device: &Device) -> bool {
    let tunnel = TUNNELS.contains(&device.kind.as_str()) || (device.kind == "tun" && device.is_headerless());
    device.default_route || !device.addresses.is_empty() || (tunnel && device.up)
}

/// What the node sends in a client's place out of a device bears the node's own address of that family, if it is the
/// device's, or else the device's first one; out of a device without, the node's own. The first one may be that of a
/// virtual router or load balancer, which moves on to another node: of IPv6 the latest comes first.
fn entry(device: &Device, is_pods: bool, spare: [Option<IpAddr>; 2]) -> DeviceEntry {
    let [v4, v6] = [Family::V4, Family::V6].map(|family| {
        let spare = spare.into_iter().flatten().find(|address| Family::of(address) == family);
        let own = spare.filter(|address| device.addresses.contains(address));
        own.or_else(|| first(device, family)).or(spare).map(Address::from)
    });
    let mut flags = DeviceFlags::default();
    if device.is_headerless() {
        flags |= DeviceFlags::HEADERLESS;
    }
    if is_pods {
        flags |= DeviceFlags::PODS;
    }
    let [a, b, c, d, e, f] = device.mac;
    DeviceEntry {
        address6: v6.unwrap_or_default(),
        address4: v4.and_then(|address| address.v4_word()).unwrap_or_default(),
        mtu: device.mtu,
        flags,
        mac: [[a, b], [c, d], [e, f]].map(u16::from_ne_bytes),
        reserved: 0,
    }
}

/// The node's own primary address: the first that its Node object names, if it is on this machine; else that of the
/// device with the default route, else the first of any.
fn node_address(devices: &[Device], node: &[IpAddr], family: Family) -> Option<IpAddr> {
    let is_here = |address: &&IpAddr| devices.iter().any(|device| device.addresses.contains(address));
    let named = node.iter().filter(|address| Family::of(address) == family).find(is_here).copied();
    let usable = || devices.iter().filter(|device| !device.is_loopback());
    let routed = || usable().filter(|device| device.default_route).find_map(|device| first(device, family));
    named.or_else(routed).or_else(|| usable().find_map(|device| first(device, family)))
}

fn first(device: &Device, family: Family) -> Option<IpAddr> {
    device.addresses.iter().copied().find(|address| Family::of(address) == family)
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
