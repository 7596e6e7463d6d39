//! Whether nf_tables holds a table or a chain, asked for by name (nfnetlink): what iptables-nft makes is there too.

use super::netlink::{Netlink, push_attribute};
use rustix::net::netlink::NETFILTER;
use std::io;
use zerocopy::IntoBytes;

/// include/uapi/linux/netfilter/nfnetlink.h.
pub(super) const NFNL_SUBSYS_NFTABLES: u16 = 10;
/// include/uapi/linux/netfilter/nf_tables.h, as those below.
const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_GETCHAIN: u16 = 4;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;

/// NFPROTO_IPV4 and NFPROTO_IPV6 of linux/netfilter.h.
pub const NFPROTO: [u8; 2] = [2, 10];

/// A conversation with nf_tables of the network namespace of the thread that began it.
#[derive(Debug)]
pub struct NfTables(pub(super) Netlink);

impl NfTables {
    /// `None`: the kernel has no netfilter.
    ///
    /// # Errors
    /// Of socket(2), connect(2) or setsockopt(2).
    pub fn open() -> io::Result<Option<Self>> {
        match Netlink::open(Some(NETFILTER)) {
            Ok(netlink) => Ok(Some(Self(netlink))),
            Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is such a table. The name has no NUL; `family` is of [`NFPROTO`].
    ///
    /// # Errors
    /// `PermissionDenied`: no CAP_NET_ADMIN. Or what the conversation fails of.
    pub fn has_table(&mut self, family: u8, table: &str) -> io::Result<bool> {
        self.has(NFT_MSG_GETTABLE, family, &[(NFTA_TABLE_NAME, table)])
    }

    /// Whether there is such a chain. One look into a hash table, however many there are (Linux 4.20, before one into a
    /// list).
    ///
    /// # Errors
    /// As for [`Self::has_table`].
    pub fn has_chain(&mut self, family: u8, table: &str, chain: &str) -> io::Result<bool> {
        self.has(NFT_MSG_GETCHAIN, family, &[(NFTA_CHAIN_TABLE, table), (NFTA_CHAIN_NAME, chain)])
    }

    fn has(&mut self, message: u16, family: u8, names: &[(u16, &str)]) -> io::Result<bool> {
        match self.0.change(NFNL_SUBSYS_NFTABLES << 8 | message, 0, &request(family, names)) {
            Ok(()) => Ok(true),
            Err(error) => match error.raw_os_error() {
                // EINVAL: no nf_tables; the other one: a kernel that cannot load it.
                Some(libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP) => Ok(false),
                _ => Err(error),
            },
        }
    }
}

/// `struct nfgenmsg` and the names, each with the zero that ends it.
pub(super) fn request(family: u8, names: &[(u16, &str)]) -> Vec<u8> {
    let mut request = [family, 0, 0, 0].as_bytes().to_vec();
    for (kind, name) in names {
        push_attribute(&mut request, *kind, format!("{name}\0").as_bytes());
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_family_first() {
        let request = request(10, &[(1, "nat"), (3, "A")]);
        assert_eq!(request[..4], [10, 0, 0, 0]);
        assert_eq!(request[8..12], *b"nat\0");
        assert_eq!(request[16..], *b"A\0\0\0");
    }
}
