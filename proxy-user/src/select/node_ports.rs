//! On which addresses of the node NodePorts answer.

use crate::model::{Family, Node};
use ipnet::IpNet;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Addresses of the node where NodePorts answer: kube-proxy's `--nodeport-addresses`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum NodePortAddresses {
    /// The first address of each family of the Node object.
    #[default]
    Primary,
    /// Every address.
    All,
    /// Those in these networks. A family without one accepts on all of its addresses.
    Networks(Vec<IpNet>),
}

/// A list of addresses that is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0:?} is neither `primary`, `all` nor a comma-separated list of CIDRs such as 192.168.0.0/16,fd00::/8"
)]
pub struct ParseAddressesError(String);

impl FromStr for NodePortAddresses {
    type Err = ParseAddressesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "primary" => Ok(Self::Primary),
            "all" => Ok(Self::All),
            list => {
                let nets = list.split(',').map(|net| net.trim().parse::<IpNet>().map(|net| net.trunc()));
                let nets: Result<Vec<_>, _> = nets.collect();
                nets.map(Self::Networks).map_err(|_| ParseAddressesError(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for NodePortAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("primary"),
            Self::All => f.write_str("all"),
            Self::Networks(nets) => {
                let texts: Vec<_> = nets.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

/// The addresses where NodePorts answer, ascending. `local` is what was observed on the interfaces; without
/// an observation the Node object's addresses are all that is known.
///
/// Loopback addresses are one to us: `127.0.0.1` and `::1` stand for them, and only if `localhost` says so.
/// They answer under `primary` too, which in kube-proxy leaves them out. Link-local IPv6 addresses are left
/// out: which link one is on, a frontend does not say.
#[must_use]
pub fn node_port_addresses(
    addresses: &NodePortAddresses,
    localhost: bool,
    node: Option<&Node>,
    local: Option<&[IpAddr]>,
) -> Vec<IpAddr> {
    let mut chosen = Vec::new();
    for family in Family::BOTH {
        let loopback = match family {
            Family::V4 => IpAddr::from(Ipv4Addr::LOCALHOST),
            Family::V6 => IpAddr::from(Ipv6Addr::LOCALHOST),
        };
        let nets = networks(addresses, family);
        let accepts = |address: &IpAddr| nets.is_empty() || nets.iter().any(|net| net.contains(address));
        if localhost && (*addresses == NodePortAddresses::Primary || accepts(&loopback)) {
            chosen.push(loopback);
        }
        let own = node.map_or(&[][..], |node| &node.addresses);
        let all = if *addresses == NodePortAddresses::Primary { own } else { local.unwrap_or(own) };
        let all = all.iter().copied();
        let mut all = all.filter(|address| Family::of(address) == family && !is_bound_to_link(address));
        match addresses {
            NodePortAddresses::Primary => chosen.extend(all.next()),
            NodePortAddresses::All | NodePortAddresses::Networks(_) => chosen.extend(all.filter(accepts)),
        }
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Where health checks are answered, ascending; an unspecified address stands for every address of its
/// family, where all of them match.
///
/// Otherwise they are the addresses where NodePorts answer. Of loopback addresses only those that a network
/// contains: that NodePorts answer on localhost too, for clients on the node, is nothing to load balancers.
#[must_use]
pub fn health_check_addresses(
    addresses: &NodePortAddresses,
    node: Option<&Node>,
    local: Option<&[IpAddr]>,
) -> Vec<IpAddr> {
    let is_primary = *addresses == NodePortAddresses::Primary;
    let is_whole = |family| !is_primary && networks(addresses, family).is_empty();
    let mut chosen = node_port_addresses(addresses, !is_primary, node, local);
    chosen.retain(|address| !is_whole(Family::of(address)));
    chosen.extend(Family::BOTH.into_iter().filter(|family| is_whole(*family)).map(|family| match family {
        Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    }));
    chosen.sort_unstable();
    chosen
}

/// Loopback and link-local addresses mean something else on every host, or every link.
fn is_bound_to_link(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

/// The networks that restrict a family; none if it is not restricted. A network of length zero overrides
/// every other.
fn networks(addresses: &NodePortAddresses, family: Family) -> Vec<IpNet> {
    let NodePortAddresses::Networks(nets) = addresses else { return Vec::new() };
    let nets: Vec<_> = nets.iter().copied().filter(|net| Family::of(&net.addr()) == family).collect();
    if nets.iter().any(|net| net.prefix_len() == 0) { Vec::new() } else { nets }
}

#[cfg(test)]
#[path = "node_ports_tests.rs"]
mod tests;
