//! Who listens on a TCP port (sock_diag(7)).

use super::netlink::Netlink;
use super::sock_diag::{Found, Request, SOCK_DIAG_BY_FAMILY, SocketId};
use rustix::net::netlink::SOCK_DIAG;
use std::io;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `1 << TCP_LISTEN`.
const LISTEN: u32 = 1 << 10;

/// `struct inet_diag_msg`.
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Whole {
    found: Found,
    expires: u32,
    received: u32,
    sent: u32,
    user: u32,
    inode: u32,
}

/// Inode numbers of the sockets that listen on a port, in the network namespace of the calling thread: what
/// `/proc/<pid>/fd` calls `socket:[N]`.
///
/// # Errors
/// ENOENT: the kernel has no tcp_diag. Or what the conversation fails of.
pub fn tcp_listeners(port: u16) -> io::Result<Vec<u32>> {
    let mut netlink = Netlink::open(Some(SOCK_DIAG))?;
    let mut inodes = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let id = SocketId { own_port: port.to_be(), ..SocketId::default() };
        let request = Request {
            family: family as u8,
            protocol: libc::IPPROTO_TCP as u8,
            extensions: 0,
            reserved: 0,
            states: LISTEN,
            id,
        };
        inodes.extend(netlink.dump(SOCK_DIAG_BY_FAMILY, request.as_bytes(), |kind, payload| {
            let (whole, _) = Whole::read_from_prefix(payload).ok()?;
            (kind == SOCK_DIAG_BY_FAMILY && whole.found.id.own_port == port.to_be()).then_some(whole.inode)
        })?);
    }
    Ok(inodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    #[test]
    fn who_listens_is_found_by_port_and_no_longer_when_it_is_closed() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).unwrap();
            let port = listener.local_addr().unwrap().port();
            let inode = rustix::fs::fstat(listener.as_fd()).unwrap().st_ino;
            assert_eq!(tcp_listeners(port).unwrap(), [inode as u32], "{address}");
            drop(listener);
            assert!(tcp_listeners(port).unwrap().is_empty(), "{address}");
        }
    }
}
