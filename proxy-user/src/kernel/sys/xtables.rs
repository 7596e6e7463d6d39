//! The rules of a table of the older iptables (ip_tables), as the kernel hands them to `iptables-legacy`: one block.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes of a table's name, and of a chain's with those before it in its head (`struct xt_error_target`).
const NAME: usize = 32;
const HEAD: usize = 30;

/// IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES of linux/netfilter_ipv4/ip_tables.h; those of ip6_tables.h are the same.
const GET_INFO: i32 = 64;
const GET_ENTRIES: i32 = 65;

/// `struct ipt_getinfo`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Info {
    name: [u8; NAME],
    hooks: u32,
    entries: [u32; 5],
    underflows: [u32; 5],
    count: u32,
    size: u32,
}

/// `struct ipt_get_entries`, before the entries, which stand at multiples of eight bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Entries {
    name: [u8; NAME],
    size: u32,
    pad: u32,
}

/// A table of the network namespace of the calling thread.
#[derive(Debug)]
pub struct Xtable {
    socket: OwnedFd,
    level: i32,
    name: [u8; NAME],
}

impl Xtable {
    /// `None` if the namespace has no such table; asking for one makes none. `name` is short.
    ///
    /// # Errors
    /// Of reading /proc/net/ip_tables_names, or of socket(2).
    pub fn open(ipv6: bool, name: &str) -> io::Result<Option<Self>> {
        let list = if ipv6 { "ip6_tables_names" } else { "ip_tables_names" };
        let tables = match fs::read_to_string(format!("/proc/thread-self/net/{list}")) {
            Ok(tables) => tables,
            // The kernel has no such iptables, or nobody has used it yet.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !tables.lines().any(|table| table == name) {
            return Ok(None);
        }
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        let (family, level) = if ipv6 {
            (AddressFamily::INET6, libc::IPPROTO_IPV6)
        } else {
            (AddressFamily::INET, libc::IPPROTO_IP)
        };
        // The tables are the namespace's; which socket asks is all one.
        let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let mut own = [0; NAME];
        own.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        Ok(Some(Self { socket, level, name: own }))
    }

    /// Whether it has a chain of that name.
    ///
    /// # Errors
    /// `PermissionDenied`: no CAP_NET_ADMIN. EAGAIN: it changed meanwhile.
    pub fn has_chain(&self, chain: &str) -> io::Result<bool> {
        let mut info = Info { name: self.name, ..Info::default() };
        self.get(GET_INFO, info.as_mut_bytes())?;
        let head = Entries { name: self.name, size: info.size, pad: 0 };
        let mut block = head.as_bytes().to_vec();
        block.resize(block.len() + info.size as usize, 0);
        self.get(GET_ENTRIES, &mut block)?;
        Ok(names_chain(&block, chain))
    }

    fn get(&self, option: i32, value: &mut [u8]) -> io::Result<()> {
        let mut length = value.len() as libc::socklen_t;
        // SAFETY: `value` has `length` bytes, to which the kernel writes at most that many.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                self.level,
                option,
                value.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// A chain begins with a rule whose target is called ERROR and holds its name.
fn names_chain(block: &[u8], chain: &str) -> bool {
    let mut wanted = b"ERROR".to_vec();
    wanted.resize(HEAD, 0);
    wanted.extend(chain.bytes());
    wanted.push(0);
    block.windows(wanted.len()).step_by(2).any(|bytes| bytes == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_known_by_the_rule_that_it_begins_with() {
        let block = |before: &str, name: &str| {
            let mut block = vec![0; 8];
            block.extend(before.bytes());
            block.resize(8 + HEAD, 0);
            block.extend(name.bytes());
            block.resize(80, 0);
            block
        };
        assert!(names_chain(&block("ERROR", "KUBE-SERVICES"), "KUBE-SERVICES"));
        assert!(!names_chain(&block("ERROR", "KUBE-SERVICES-2"), "KUBE-SERVICES"));
        assert!(!names_chain(&block("comment", "KUBE-SERVICES"), "KUBE-SERVICES"));
        assert!(!names_chain(b"", "KUBE-SERVICES"));
    }
}
