//! The node of the packet tests as a network namespace: the devices and routes of [`crate::net::Net::default`].

use crate::{
    frame::MACS,
    net::{DEVICES, Net},
    text::six,
};
use shunt::lab::Namespace;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

pub struct Node {
    pub namespace: Namespace,
    /// The far ends of its devices.
    _around: Namespace,
    /// Indices of its devices, by those of [`DEVICES`].
    pub devices: HashMap<u32, u32>,
}

/// An address in both families.
fn both(ip: Ipv4Addr) -> [IpAddr; 2] {
    [ip.into(), six(&ip.to_string()).parse().unwrap()]
}

impl Node {
    pub fn new() -> Self {
        let (namespace, around) = (Namespace::new("node").unwrap(), Namespace::new("around").unwrap());
        let mut devices = HashMap::new();
        for (name, device) in DEVICES {
            namespace.connect(name, &around, name).unwrap();
            // What is not for it belongs to somebody else.
            namespace.set_mac(name, MACS[..6].try_into().unwrap()).unwrap();
            devices.insert(device, namespace.device_index(name).unwrap());
        }
        namespace.forward().unwrap();
        // Of one address each: a network's broadcast address is no more than an address here.
        for (ip, bits) in both(crate::net::NODE).into_iter().zip([32, 128]) {
            namespace.add_address("eth0", ip, bits).unwrap();
        }
        let net = Net::default();
        let name = |device| DEVICES.iter().find(|(_, known)| *known == device).unwrap().0;
        for (prefix, device, gateway) in &net.routes {
            let mut octets = [0; 4];
            octets.iter_mut().zip(prefix).for_each(|(octet, byte)| *octet = *byte);
            let length = prefix.len() as u8;
            // fd00::192:0:2:0/112 is what 192.0.2.0/24 is.
            let lengths = [length * 8, if length == 0 { 0 } else { 64 + length * 16 }];
            for (family, ip) in both(octets.into()).into_iter().enumerate() {
                let gateway = gateway.map(|gateway| both(gateway)[family]);
                let ip = if length == 0 && ip.is_ipv6() { "::".parse().unwrap() } else { ip };
                namespace.add_route(ip, lengths[family], gateway, name(*device)).unwrap();
            }
        }
        for (device, mtu) in net.mtus {
            namespace.set_mtu(name(device), mtu as u32).unwrap();
        }
        // Some neighbours are known, others are yet to be asked for.
        for (device, ip) in [
            ("eth0", [192, 0, 2, 2]),
            ("eth0", [192, 0, 2, 9]),
            ("cni0", [10, 244, 1, 5]),
            ("vxlan", [10, 244, 3, 0]),
        ] {
            for ip in both(ip.into()) {
                namespace.add_neighbour(device, ip, [2, 0, 0, 0, 9, 9]).unwrap();
            }
        }
        Self { namespace, _around: around, devices }
    }
}
