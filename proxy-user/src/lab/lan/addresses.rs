//! Who has which address: the networks of RFC 5737, RFC 2544 and RFC 3849 outside, 10.244.0.0/15 for pods.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network of both families: a /24 and a /64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    v4: [u8; 3],
    v6: [u16; 4],
}

pub(super) const PREFIX_V4: u8 = 24;
pub(super) const PREFIX_V6: u8 = 64;

/// The local network that nodes, router and clients are on.
pub(super) const LAN: Network = Network { v4: [192, 0, 2], v6: [0x2001, 0xdb8, 1, 0] };
/// The network of the far client.
pub(super) const FAR: Network = Network { v4: [198, 51, 100], v6: [0x2001, 0xdb8, 2, 0] };
/// The link between router and edge.
pub(super) const WAN: Network = Network { v4: [203, 0, 113], v6: [0x2001, 0xdb8, 3, 0] };

/// The network of the VLAN.
pub(super) const VLAN: Network = Network { v4: [198, 18, 0], v6: [0x2001, 0xdb8, 0x18, 0] };

/// A tunnel's network, counted from 1.
pub(super) const fn tunnel(number: u8) -> Network {
    Network { v4: [198, 18, number], v6: [0x2001, 0xdb8, 0x18, number as u16] }
}

/// Number of a gateway in its network: the router, the edge, a bridge.
pub(super) const GATEWAY: u8 = 1;
/// Number of the first client of a network.
pub(super) const CLIENT: u8 = 100;

/// Number of the first host whose frames a test makes.
pub(super) const RAW: u8 = 200;

/// How many nodes fit between gateway and clients.
pub(super) const NODES: u8 = 9;

/// Number of a node in a network, counted from 1: node 1 is .11 and ::11.
pub(super) const fn of_node(node: u8) -> u8 {
    10 + node
}

/// The pods of a node that hang on its bridge.
pub(super) const fn pods(node: u8) -> Network {
    Network { v4: [10, 244, node], v6: [0xfd00, 0x10, 0x244, node as u16] }
}

/// The pods of a node that it routes to one by one.
pub(super) const fn routed_pods(node: u8) -> Network {
    Network { v4: [10, 245, node], v6: [0xfd00, 0x10, 0x245, node as u16] }
}

impl Network {
    /// A host's IPv4 address; number 0 is the network's own.
    pub const fn v4(self, number: u8) -> Ipv4Addr {
        let [a, b, c] = self.v4;
        Ipv4Addr::new(a, b, c, number)
    }

    /// A host's IPv6 address, whose last group reads in hexadecimal as the IPv4 number does in decimal.
    pub const fn v6(self, number: u8) -> Ipv6Addr {
        let [a, b, c, d] = self.v6;
        let number = number as u16;
        let digits = number / 100 * 0x100 + number / 10 % 10 * 0x10 + number % 10;
        Ipv6Addr::new(a, b, c, d, 0, 0, 0, digits)
    }

    /// Both addresses of a host, with the lengths of their prefixes.
    pub const fn both(self, number: u8) -> [(IpAddr, u8); 2] {
        [(IpAddr::V4(self.v4(number)), PREFIX_V4), (IpAddr::V6(self.v6(number)), PREFIX_V6)]
    }
}

/// The networks that are everything.
pub(super) const DEFAULT: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_read_alike() {
        for (network, number, v4, v6) in [
            (LAN, GATEWAY, "192.0.2.1", "2001:db8:1::1"),
            (LAN, of_node(1), "192.0.2.11", "2001:db8:1::11"),
            (LAN, of_node(NODES), "192.0.2.19", "2001:db8:1::19"),
            (FAR, CLIENT, "198.51.100.100", "2001:db8:2::100"),
            (tunnel(1), CLIENT, "198.18.1.100", "2001:db8:18:1::100"),
            (pods(2), 0, "10.244.2.0", "fd00:10:244:2::"),
            (routed_pods(1), 254, "10.245.1.254", "fd00:10:245:1::254"),
        ] {
            assert_eq!(network.v4(number).to_string(), v4);
            assert_eq!(network.v6(number).to_string(), v6);
        }
    }
}
