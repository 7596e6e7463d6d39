//! What kube-proxy has on a node: its tables, chains, device and ports. It may have been there before Shunt, or come
//! back; only `kube-proxy --cleanup` and `shunt cleanup --kube-proxy` remove it ([`remove_kube_proxy`]).
//!
//! kubelet has chains of its own (KUBE-IPTABLES-HINT, KUBE-FIREWALL, KUBE-KUBELET-CANARY, and before Kubernetes 1.28
//! KUBE-MARK-MASQ, KUBE-MARK-DROP and KUBE-POSTROUTING), which are to stay: KUBE-SERVICES is the one that only kube-proxy
//! makes, in each of its modes with iptables.

mod legacy;
mod look;
mod names;
mod removal;
mod running;
mod select;
mod trace;

pub use look::{LeftoversError, kube_proxy};
pub use removal::{Removal, RemovalError, find_kube_proxy, legacy_lock, remove_kube_proxy};
pub use running::kube_proxy_processes;
pub(super) use select::{Chains, Rule};
pub use trace::{Remark, Trace};

use crate::kernel::sys::NFPROTO;
use std::collections::BTreeSet;
use std::fmt;

/// Ports where kube-proxy answers: metrics, and health.
pub const KUBE_PROXY_PORTS: [u16; 2] = [10_249, 10_256];

/// The table of its nftables mode.
const TABLE: &str = "kube-proxy";
/// The chain of its iptables and ipvs modes, in this table.
const CHAIN: &str = "KUBE-SERVICES";
const NAT: &str = "nat";
/// The device that holds the ClusterIPs in its ipvs mode.
const DEVICE: &str = "kube-ipvs0";

/// A family of addresses, as nftables calls it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
}

impl Family {
    /// Both.
    const BOTH: [Self; 2] = [Self::Ip, Self::Ip6];

    /// Of [`NFPROTO`].
    const fn protocol(self) -> u8 {
        match self {
            Self::Ip => NFPROTO[0],
            Self::Ip6 => NFPROTO[1],
        }
    }
}

/// Which of the kernel's two iptables holds a chain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tool {
    /// nf_tables: `iptables-nft`.
    Nft,
    /// ip_tables: `iptables-legacy`.
    Legacy,
}

/// One thing of kube-proxy's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Leftover {
    /// The table `kube-proxy` of its nftables mode.
    Table(Family),
    /// The chain KUBE-SERVICES of its iptables and ipvs modes.
    Chain(Tool, Family),
    /// The device kube-ipvs0 of its ipvs mode.
    Device,
    /// Another process listens on a port of [`KUBE_PROXY_PORTS`]: kube-proxy itself, as a rule.
    Port(u16),
}

/// Everything of kube-proxy's that was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Leftovers(BTreeSet<Leftover>);

impl Leftovers {
    /// Whether nothing was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Leftover> {
        self.0.iter().copied()
    }

    /// The mode of kube-proxy that leaves such behind, as its configuration calls it; `None` if only ports are in use.
    #[must_use]
    pub fn mode(&self) -> Option<&'static str> {
        let chains = self.0.iter().any(|found| matches!(found, Leftover::Chain(..)));
        let table = self.0.iter().any(|found| matches!(found, Leftover::Table(_)));
        match (self.0.contains(&Leftover::Device), chains, table) {
            (true, ..) => Some("ipvs"),
            (_, true, _) => Some("iptables"),
            (.., true) => Some("nftables"),
            (false, false, false) => None,
        }
    }
}

impl FromIterator<Leftover> for Leftovers {
    fn from_iter<I: IntoIterator<Item = Leftover>>(found: I) -> Self {
        Self(found.into_iter().collect())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        })
    }
}

/// The command that lists what is there.
const fn tool_name(tool: Tool, family: Family) -> &'static str {
    match (tool, family) {
        (Tool::Nft, Family::Ip) => "iptables-nft",
        (Tool::Nft, Family::Ip6) => "ip6tables-nft",
        (Tool::Legacy, Family::Ip) => "iptables-legacy",
        (Tool::Legacy, Family::Ip6) => "ip6tables-legacy",
    }
}

impl fmt::Display for Leftover {
    /// As the tools that list it call it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(family) => write!(f, "nftables table {family} {TABLE}"),
            Self::Chain(tool, family) => {
                write!(f, "{} chain {CHAIN}", tool_name(*tool, *family))
            }
            Self::Device => write!(f, "device {DEVICE}"),
            Self::Port(port) => write!(f, "a listener on port {port}"),
        }
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, found) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{found}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_follows_from_what_only_that_mode_makes() {
        let mode = |found: &[Leftover]| found.iter().copied().collect::<Leftovers>().mode();
        let chain = Leftover::Chain(Tool::Nft, Family::Ip);
        assert_eq!(mode(&[]), None);
        assert_eq!(mode(&[Leftover::Port(10_249)]), None);
        assert_eq!(mode(&[Leftover::Table(Family::Ip6)]), Some("nftables"));
        assert_eq!(mode(&[chain, Leftover::Port(10_256)]), Some("iptables"));
        assert_eq!(mode(&[chain, Leftover::Device]), Some("ipvs"));
    }

    #[test]
    fn each_is_called_what_the_tools_call_it() {
        let all = [
            Leftover::Port(10_249),
            Leftover::Device,
            Leftover::Chain(Tool::Legacy, Family::Ip6),
            Leftover::Chain(Tool::Nft, Family::Ip),
            Leftover::Table(Family::Ip),
        ];
        assert_eq!(
            all.into_iter().collect::<Leftovers>().to_string(),
            "nftables table ip kube-proxy, iptables-nft chain KUBE-SERVICES, ip6tables-legacy chain \
             KUBE-SERVICES, device kube-ipvs0, a listener on port 10249"
        );
    }
}
