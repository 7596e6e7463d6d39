//! The rules of a table of the older iptables (ip_tables), as the kernel hands them to `iptables-legacy` and takes
//! them from it: one block.

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
/// IPT_SO_SET_REPLACE and IPT_SO_SET_ADD_COUNTERS.
const SET_REPLACE: i32 = 64;
const SET_ADD_COUNTERS: i32 = 65;

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

/// `struct ipt_replace`, before the entries.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Replace {
    name: [u8; NAME],
    hooks: u32,
    count: u32,
    size: u32,
    entries: [u32; 5],
    underflows: [u32; 5],
    /// How many entries the table has now; EAGAIN if it has not.
    old_count: u32,
    /// Where the kernel puts the counters of those.
    counters: u64,
}

/// `struct xt_counters_info`, before the counters.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct AddCounters {
    name: [u8; NAME],
    count: u32,
    pad: u32,
}

/// `struct xt_counters`: packets and bytes.
type Counter = [u64; 2];

/// What a table holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct XtRules {
    /// Whether the entries are `struct ip6t_entry` and not `struct ipt_entry`.
    pub ipv6: bool,
    /// The hooks (`NF_INET_*`) at which the table is asked, one bit each.
    pub hooks: u32,
    /// Where the chain of each hook begins in the block.
    pub entries: [u32; 5],
    /// Where its policy stands, the last rule of that chain.
    pub underflows: [u32; 5],
    /// How many entries there are.
    pub count: u32,
    /// The entries.
    pub block: Vec<u8>,
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
        Ok(names_chain(&self.read()?.block, chain))
    }

    /// The whole table.
    ///
    /// # Errors
    /// As for [`Self::has_chain`].
    pub fn read(&self) -> io::Result<XtRules> {
        let mut info = Info { name: self.name, ..Info::default() };
        self.get(GET_INFO, info.as_mut_bytes())?;
        let head = Entries { name: self.name, size: info.size, pad: 0 };
        let mut block = head.as_bytes().to_vec();
        block.resize(block.len() + info.size as usize, 0);
        self.get(GET_ENTRIES, &mut block)?;
        block.drain(..size_of::<Entries>());
        Ok(XtRules {
            ipv6: self.level == libc::IPPROTO_IPV6,
            hooks: info.hooks,
            entries: info.entries,
            underflows: info.underflows,
            count: info.count,
            block,
        })
    }

    /// Puts other rules in the place of all those of the table, in one step. `origins` says which entry of the table
    /// each new one was, so that it keeps its counter; what is counted meanwhile counts too.
    ///
    /// # Errors
    /// EAGAIN: the table has not `old_count` entries any more, and is unchanged. Or what the kernel finds wrong with the
    /// rules. Or, with the rules in place, of giving them their counters.
    pub fn replace(&self, old_count: u32, new: &XtRules, origins: &[usize]) -> io::Result<()> {
        let mut old: Vec<Counter> = vec![[0; 2]; old_count as usize];
        let head = Replace {
            name: self.name,
            hooks: new.hooks,
            count: new.count,
            size: new.block.len() as u32,
            entries: new.entries,
            underflows: new.underflows,
            old_count,
            counters: old.as_mut_ptr() as u64,
        };
        // SAFETY: the kernel writes `old_count` counters (it refuses another number), and `old` has that many.
        unsafe { self.set(SET_REPLACE, &[head.as_bytes(), &new.block].concat())? };
        let mut counters = AddCounters { name: self.name, count: new.count, pad: 0 }.as_bytes().to_vec();
        for origin in origins {
            counters.extend(old.get(*origin).unwrap_or(&[0; 2]).as_bytes());
        }
        // SAFETY: no address is in it.
        unsafe { self.set(SET_ADD_COUNTERS, &counters) }
    }

    /// # Safety
    /// Where the value holds an address, the kernel may write there what `option` says.
    unsafe fn set(&self, option: i32, value: &[u8]) -> io::Result<()> {
        // SAFETY: `value` has so many bytes, which the kernel reads; the caller answers for addresses in them.
        let result = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                self.level,
                option,
                value.as_ptr().cast(),
                value.len() as libc::socklen_t,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
