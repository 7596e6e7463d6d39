//! Network devices of this node.

use std::net::IpAddr;

/// A network device, as the kernel tells of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// Its index in the node's network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Which driver of a virtual device made it (IFLA_INFO_KIND): `vxlan`, `veth`. Empty of hardware.
    pub kind: String,
    /// Type of its link's header: an ARPHRD number of linux/if_arp.h.
    pub link_type: u16,
    /// Bytes of its largest IP packet.
    pub mtu: u32,
    /// Hardware address; zero where it has none, or one of another length.
    pub mac: [u8; 6],
    /// It is up, by order of its owner.
    pub up: bool,
    /// A default route, of either family and in any routing table, goes out of it.
    pub default_route: bool,
    /// Its addresses of global scope that duplicate address detection has let through, those that the kernel
    /// prefers as source first.
    pub addresses: Vec<IpAddr>,
}

impl Device {
    /// ARPHRD_LOOPBACK.
    const LOOPBACK: u16 = 772;

    /// Types of devices whose packets begin with their IP header: those that `dev_is_mac_header_xmit` of
    /// linux/if_arp.h names (Linux 6.18), TUNNEL, TUNNEL6, SIT, IPGRE, IP6GRE, VOID, NONE, RAWIP, PIMREG and PPP.
    const HEADERLESS: [u16; 10] = [768, 769, 776, 778, 823, 0xffff, 0xfffe, 519, 779, 512];

    /// Whether it is `lo`.
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        self.link_type == Self::LOOPBACK
    }

    /// Whether its packets begin with their IP header.
    #[must_use]
    pub fn is_headerless(&self) -> bool {
        Self::HEADERLESS.contains(&self.link_type)
    }
}
