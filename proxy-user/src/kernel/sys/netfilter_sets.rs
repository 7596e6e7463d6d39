//! What rules of netfilter refer to by name, by nfnetlink: ipsets (ipset(8)) and accounting objects (nfacct(8)).

use super::netfilter::request;
use super::netlink::{Netlink, attributes, push_attribute};
use rustix::net::netlink::NETFILTER;
use std::io;

/// include/uapi/linux/netfilter/nfnetlink.h.
const NFNL_SUBSYS_IPSET: u16 = 6;
const NFNL_SUBSYS_ACCT: u16 = 7;

/// include/uapi/linux/netfilter/ipset/ip_set.h.
const IPSET_CMD_DESTROY: u16 = 3;
const IPSET_CMD_LIST: u16 = 7;
const IPSET_ATTR_PROTOCOL: u16 = 1;
const IPSET_ATTR_SETNAME: u16 = 2;
const IPSET_ATTR_FLAGS: u16 = 6;
/// No errno, but a number of ipset's own.
const IPSET_ERR_BUSY: i32 = 4100;
/// Lists names without members.
const IPSET_FLAG_LIST_SETNAME: u32 = 1 << 1;
/// IPSET_PROTOCOL_MIN: every kernel that we support speaks it.
const PROTOCOL: u8 = 6;

/// include/uapi/linux/netfilter/nfnetlink_acct.h.
const NFNL_MSG_ACCT_GET: u16 = 1;
const NFNL_MSG_ACCT_DEL: u16 = 3;
const NFACCT_NAME: u16 = 1;

/// A message of the kernel's begins with `struct nfgenmsg`.
const HEAD: usize = 4;

/// Names of the ipsets of the calling thread's network namespace.
///
/// # Errors
/// `PermissionDenied`: no CAP_NET_ADMIN. Or what the conversation fails of.
pub fn ipsets() -> io::Result<Vec<String>> {
    let mut payload = ipset_request(None);
    push_attribute(
        &mut payload,
        IPSET_ATTR_FLAGS | libc::NLA_F_NET_BYTEORDER as u16,
        &IPSET_FLAG_LIST_SETNAME.to_be_bytes(),
    );
    names(NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_LIST, &payload, IPSET_ATTR_SETNAME)
}

/// Removes an ipset.
///
/// # Errors
/// As for [`ipsets`]; `ResourceBusy`: a rule or another set refers to it.
pub fn remove_ipset(name: &str) -> io::Result<()> {
    let request = ipset_request(Some(name));
    let removed =
        Netlink::open(Some(NETFILTER))?.change(NFNL_SUBSYS_IPSET << 8 | IPSET_CMD_DESTROY, 0, &request);
    removed.map_err(|error| match error.raw_os_error() {
        Some(IPSET_ERR_BUSY) => {
            io::Error::new(io::ErrorKind::ResourceBusy, "a rule or another set refers to it")
        }
        _ => error,
    })
}

/// Names of the accounting objects of the calling thread's network namespace.
///
/// # Errors
/// As for [`ipsets`].
pub fn counters() -> io::Result<Vec<String>> {
    names(NFNL_SUBSYS_ACCT << 8 | NFNL_MSG_ACCT_GET, &request(0, &[]), NFACCT_NAME)
}

/// Removes an accounting object.
///
/// # Errors
/// As for [`ipsets`]; EBUSY: a rule refers to it.
pub fn remove_counter(name: &str) -> io::Result<()> {
    let request = request(0, &[(NFACCT_NAME, name)]);
    Netlink::open(Some(NETFILTER))?.change(NFNL_SUBSYS_ACCT << 8 | NFNL_MSG_ACCT_DEL, 0, &request)
}

/// Every message of ipset's states the protocol.
fn ipset_request(name: Option<&str>) -> Vec<u8> {
    let mut bytes = request(libc::AF_INET as u8, &[]);
    push_attribute(&mut bytes, IPSET_ATTR_PROTOCOL, &[PROTOCOL]);
    if let Some(name) = name {
        push_attribute(&mut bytes, IPSET_ATTR_SETNAME, format!("{name}\0").as_bytes());
    }
    bytes
}

/// None where the kernel has no such subsystem, or nobody has loaded it.
fn names(kind: u16, payload: &[u8], attribute: u16) -> io::Result<Vec<String>> {
    let mut netlink = match Netlink::open(Some(NETFILTER)) {
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => return Ok(Vec::new()),
        netlink => netlink?,
    };
    let found = netlink.dump(kind, payload, |_, payload| {
        let value = attributes(payload.get(HEAD..)?)
            .find_map(|(kind, value)| (kind == attribute).then_some(value))?;
        Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned())
    });
    match found {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::ENOENT)) =>
        {
            Ok(Vec::new())
        }
        found => found,
    }
}
