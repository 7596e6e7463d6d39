//! What of kube-proxy's is removed, as the tools that list it call it.

use super::{DEVICE, Family, TABLE, Tool, tool_name};
use std::fmt;

/// One thing that kube-proxy left, or a rule of somebody else's that leads into it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Trace {
    /// The device of its ipvs mode.
    Device,
    /// A chain with so many rules.
    Chain {
        /// Which iptables holds it.
        tool: Tool,
        /// Of which family.
        family: Family,
        /// Table of that iptables.
        table: &'static str,
        /// Its name.
        chain: String,
        /// How many rules are in it.
        rules: usize,
    },
    /// A rule outside of its chains.
    Rule {
        /// Which iptables holds it.
        tool: Tool,
        /// Of which family.
        family: Family,
        /// Table of that iptables.
        table: &'static str,
        /// The chain that it is in.
        chain: String,
        /// The chain that it leads to.
        to: String,
    },
    /// The table of its nftables mode.
    Table(Family),
    /// An ipset of its ipvs mode.
    Set(String),
    /// An accounting object of its iptables mode.
    Counter(String),
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => write!(f, "device {DEVICE}"),
            Self::Chain { tool, family, table, chain, rules } => {
                write!(f, "{} -t {table}: chain {chain}, rules: {rules}", tool_name(*tool, *family))
            }
            Self::Rule { tool, family, table, chain, to } => {
                write!(f, "{} -t {table}: a rule in {chain} that leads to {to}", tool_name(*tool, *family))
            }
            Self::Table(family) => write!(f, "nftables table {family} {TABLE}"),
            Self::Set(name) => write!(f, "ipset {name}"),
            Self::Counter(name) => write!(f, "nfacct object {name}"),
        }
    }
}

/// What stays, and what its user should know before anything goes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Remark {
    /// A chain of somebody else's marks packets by KUBE-MARK-MASQ: that chain and KUBE-POSTROUTING stay.
    Marked {
        /// Which iptables holds them.
        tool: Tool,
        /// Of which family.
        family: Family,
        /// The chain that leads there.
        by: String,
    },
    /// The table of its nftables mode is the only one that makes nf_conntrack translate: connections that kube-proxy
    /// translated end with it.
    LastUser(Family),
    /// IPVS has virtual servers of its own, which are not looked at.
    VirtualServers,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marked { tool, family, by } => write!(
                f,
                "{} -t nat: chain {by} marks packets by KUBE-MARK-MASQ, so that chain and KUBE-POSTROUTING stay",
                tool_name(*tool, *family)
            ),
            Self::LastUser(family) => write!(
                f,
                "nothing but the nftables table {family} {TABLE} makes nf_conntrack translate here: connections that \
                 kube-proxy has translated end with it (docs/migrate.md)"
            ),
            Self::VirtualServers => f.write_str(
                "virtual servers of IPVS are not looked at: `ipvsadm --list --numeric` shows what is left of them, \
                 `ipvsadm --clear` removes all, whoever's they are",
            ),
        }
    }
}
