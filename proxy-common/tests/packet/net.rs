//! The network around the node: addresses, routes, devices and sockets.

use proxy_common::{
    abi::{Address, DeviceEntry, DeviceFlags, Tuple},
    packet::NextHop,
};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

pub const ETH0: u32 = 1;
pub const CNI0: u32 = 2;
pub const VXLAN: u32 = 3;
/// A device that Shunt is not attached to.
pub const OTHER: u32 = 9;

pub const DEVICES: [(&str, u32); 4] = [("eth0", ETH0), ("cni0", CNI0), ("vxlan", VXLAN), ("other", OTHER)];

pub const NODE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

/// A route: the first two or three bytes of the destination, the device, and the gateway if it is not on the link.
type Route = (Vec<u8>, u32, Option<Ipv4Addr>);

/// IPv4 addresses throughout; those of IPv6 lead to the same places (see [`four`]).
pub struct Net {
    pub routes: Vec<Route>,
    pub mtus: HashMap<u32, usize>,
    /// Ports of the node that sockets have, host byte order.
    pub sockets: Vec<u16>,
    /// Reverse routes are asked for by source: no route for what is not in the table.
    pub no_route_to: Vec<Ipv4Addr>,
}

impl Default for Net {
    fn default() -> Self {
        let route = |prefix: &[u8], device, gateway| (prefix.to_vec(), device, gateway);
        Self {
            routes: vec![
                route(&[192, 0, 2], ETH0, None),
                route(&[10, 244, 1], CNI0, None),
                route(&[10, 244, 2], ETH0, Some(Ipv4Addr::new(192, 0, 2, 2))),
                route(&[10, 244, 3], VXLAN, Some(Ipv4Addr::new(10, 244, 3, 0))),
                route(&[10, 244, 9], OTHER, None),
                route(&[], ETH0, Some(ROUTER)),
            ],
            mtus: HashMap::from([(ETH0, 1500), (CNI0, 1500), (VXLAN, 1450), (OTHER, 1500)]),
            sockets: Vec::new(),
            no_route_to: Vec::new(),
        }
    }
}

impl Net {
    pub fn next_hop(&self, source: IpAddr, destination: IpAddr, length: usize) -> NextHop {
        let to = four(destination);
        // bpf_fib_lookup knows no way on from or to a group, a link's own addresses and ::1 (rt6_need_strict).
        let strict = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_multicast() || ip.is_unicast_link_local() || ip.is_loopback());
        if to == NODE || destination.is_loopback() || strict(source) || strict(destination) {
            return NextHop::Local;
        }
        if self.no_route_to.contains(&to) {
            return NextHop::None;
        }
        let Some((_, device, gateway)) =
            self.routes.iter().find(|(prefix, ..)| to.octets().starts_with(prefix))
        else {
            return NextHop::None;
        };
        if length > self.mtus[device] {
            return NextHop::TooBig { device: *device };
        }
        let gateway = gateway.map_or(destination, |gateway| like(gateway, destination));
        NextHop::Device { device: *device, gateway: gateway.into() }
    }

    pub fn has_socket(&self, tuple: &Tuple) -> bool {
        four(tuple.destination.to_ip()) == NODE
            && self.sockets.contains(&u16::from_be(tuple.destination_port))
    }
}

/// The devices that Shunt is attached to, and their addresses.
pub fn devices() -> HashMap<u32, DeviceEntry> {
    let device = |address: Ipv4Addr, mtu, flags| {
        let v6: Address = like(address, Ipv6Addr::LOCALHOST.into()).into();
        let address4 = u32::from(address).to_be();
        DeviceEntry { address6: v6, address4, mtu, flags, ..DeviceEntry::default() }
    };
    HashMap::from([
        (ETH0, device(NODE, 1500, DeviceFlags::default())),
        (CNI0, device(Ipv4Addr::new(10, 244, 1, 1), 1500, DeviceFlags::PODS)),
        (VXLAN, device(Ipv4Addr::new(10, 244, 3, 1), 1450, DeviceFlags::default())),
    ])
}

/// The IPv4 address that a test's IPv6 address stands for: `fd00::192:0:2:1` for 192.0.2.1. One of another network is
/// somewhere behind the router.
pub fn four(ip: IpAddr) -> Ipv4Addr {
    match ip {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => {
            let [0xfd00, 0, 0, 0, a, b, c, d] = ip.segments() else { return Ipv4Addr::UNSPECIFIED };
            // Their digits are decimal.
            let byte = |word: u16| format!("{word:x}").parse().unwrap_or(0);
            Ipv4Addr::new(byte(a), byte(b), byte(c), byte(d))
        }
    }
}

/// An address of the same family as another one.
pub fn like(ip: Ipv4Addr, other: IpAddr) -> IpAddr {
    if other.is_ipv4() { ip.into() } else { crate::text::six(&ip.to_string()).parse().unwrap() }
}
