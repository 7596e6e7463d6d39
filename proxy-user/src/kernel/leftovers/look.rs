//! Looking for kube-proxy. Each question names what it is about, so a look costs the same whatever the tables hold; only
//! of the older iptables the whole table is read, and only where a namespace has one.

use super::{CHAIN, DEVICE, Family, KUBE_PROXY_PORTS, Leftover, Leftovers, NAT, TABLE, Tool};
use crate::kernel::sys::{NFPROTO, NfTables, Xtable, has_device, tcp_listeners};
use std::collections::BTreeSet;
use std::fs;
use std::io;

/// The kernel did not tell.
#[derive(Debug, thiserror::Error)]
#[error("looking for kube-proxy: {what}: {source}")]
pub struct LeftoversError {
    /// What was asked.
    pub what: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

/// Looks for kube-proxy in the network namespace of the calling thread. `ports`: whether a listener on one of
/// [`KUBE_PROXY_PORTS`] that this process does not hold counts; another process cannot tell kube-proxy's from the
/// agent's.
///
/// # Errors
/// [`LeftoversError`], without CAP_NET_ADMIN above all.
pub fn kube_proxy(ports: bool) -> Result<Leftovers, LeftoversError> {
    let mut found = Vec::new();
    let families = Family::BOTH;
    let fail = |what| move |source| LeftoversError { what, source };
    if let Some(mut tables) = NfTables::open().map_err(fail("nfnetlink"))? {
        for (family, protocol) in families.into_iter().zip(NFPROTO) {
            if tables.has_table(protocol, TABLE).map_err(fail("NFT_MSG_GETTABLE"))? {
                found.push(Leftover::Table(family));
            }
            if tables.has_chain(protocol, NAT, CHAIN).map_err(fail("NFT_MSG_GETCHAIN"))? {
                found.push(Leftover::Chain(Tool::Nft, family));
            }
        }
    }
    for family in families {
        let table = Xtable::open(family == Family::Ip6, NAT).map_err(fail("ip_tables"))?;
        if let Some(table) = table
            && table.has_chain(CHAIN).map_err(fail("IPT_SO_GET_ENTRIES"))?
        {
            found.push(Leftover::Chain(Tool::Legacy, family));
        }
    }
    if has_device(DEVICE).map_err(fail("RTM_GETLINK"))? {
        found.push(Leftover::Device);
    }
    if ports {
        let mut listening = Vec::new();
        for port in KUBE_PROXY_PORTS {
            match tcp_listeners(port) {
                // No tcp_diag: what was found so far is worth more than the ports.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                listeners => listening.push((port, listeners.map_err(fail("SOCK_DIAG_BY_FAMILY"))?)),
            }
        }
        // Later than that: a server of ours may begin to listen in between, and is not kube-proxy.
        let own = own_sockets().map_err(fail("read /proc/self/fd"))?;
        for (port, listeners) in listening {
            if listeners.iter().any(|inode| !own.contains(inode)) {
                found.push(Leftover::Port(port));
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Inode numbers of this process's sockets.
fn own_sockets() -> io::Result<BTreeSet<u32>> {
    let entries = fs::read_dir("/proc/self/fd")?;
    // A descriptor that is closed meanwhile is none.
    let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    Ok(links
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect())
}
