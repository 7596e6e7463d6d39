//! Connected UDP sockets of one network namespace: found and destroyed by NETLINK_SOCK_DIAG
//! (sock_diag(7)).

use super::netlink::Netlink;
use proxy_common::abi::{Address, SocketKey, SocketPeer, UDP};
use rustix::net::netlink::SOCK_DIAG;
use std::io;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// include/uapi/linux/sock_diag.h.
pub(super) const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// The same; Linux 4.5, for UDP 4.9 (commit 5d77dca82839).
const SOCK_DESTROY: u16 = 21;

/// `1 << TCP_ESTABLISHED`: the state of a connected UDP socket too (`__ip4_datagram_connect`).
const ESTABLISHED: u32 = 1 << 1;

/// `struct inet_diag_sockid`. Ports and addresses in network byte order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct SocketId {
    pub own_port: u16,
    pub peer_port: u16,
    pub own: [u32; 4],
    pub peer: [u32; 4],
    pub device: u32,
    /// Low half first.
    pub cookie: [u32; 2],
}

/// `struct inet_diag_req_v2`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Request {
    pub family: u8,
    pub protocol: u8,
    pub extensions: u8,
    pub reserved: u8,
    pub states: u32,
    pub id: SocketId,
}

/// The start of `struct inet_diag_msg`; the rest is statistics.
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Found {
    family: u8,
    state: u8,
    timer: u8,
    retransmits: u8,
    pub id: SocketId,
}

/// A connected UDP socket, as the kernel named it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectedUdp {
    family: u8,
    id: SocketId,
}

impl ConnectedUdp {
    /// Its cookie and its peer: what REVERSE knows it by.
    #[must_use]
    pub fn key(&self) -> SocketKey {
        let SocketId { peer, peer_port, cookie: [low, high], .. } = self.id;
        let address = if i32::from(self.family) == libc::AF_INET {
            Address::from_v4_word(peer[0])
        } else {
            // An IPv6 socket with an IPv4 peer names it in its IPv4-mapped form, as the maps do.
            Address { words: peer }
        };
        SocketKey {
            cookie: u64::from(high) << 32 | u64::from(low),
            peer: SocketPeer::new(address, peer_port),
        }
    }
}

/// A conversation with the kernel about the sockets of one network namespace. After an error it is
/// in disorder: open another one.
#[derive(Debug)]
pub struct SockDiag(Netlink);

impl SockDiag {
    /// Asks about the network namespace that the calling thread is in, for good.
    ///
    /// # Errors
    /// Of socket(2) (EPROTONOSUPPORT: no sock_diag), connect(2) or setsockopt(2).
    pub fn open() -> io::Result<Self> {
        Netlink::open(Some(SOCK_DIAG)).map(Self)
    }

    /// The connected UDP sockets of both families that are `wanted`. A socket that is made, connected or
    /// closed meanwhile may or may not be among them.
    ///
    /// # Errors
    /// ENOENT: the kernel has no udp_diag. `TimedOut`: it did not answer. `Interrupted`: too much changed
    /// meanwhile. `InvalidData`: what came is no answer. Or of send(2) or recv(2).
    pub fn connected_udp(&mut self, wanted: impl Fn(&SocketKey) -> bool) -> io::Result<Vec<ConnectedUdp>> {
        let mut sockets = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let request = request(family as u8, SocketId::default());
            sockets.extend(self.0.dump(SOCK_DIAG_BY_FAMILY, request.as_bytes(), |kind, payload| {
                let (Found { family, id, .. }, _) = Found::read_from_prefix(payload).ok()?;
                let socket = ConnectedUdp { family, id };
                (kind == SOCK_DIAG_BY_FAMILY && wanted(&socket.key())).then_some(socket)
            })?);
        }
        Ok(sockets)
    }

    /// Disconnects a socket and wakes its owner with ECONNABORTED (`udp_abort`). False if the kernel finds
    /// another socket or none under these addresses: it was closed or connected anew, or it shares all
    /// of them with another socket (SO_REUSEADDR), which the kernel finds first.
    ///
    /// # Errors
    /// EOPNOTSUPP: the kernel is built without CONFIG_INET_DIAG_DESTROY. `PermissionDenied`: no CAP_NET_ADMIN
    /// here. Or as for [`Self::connected_udp`].
    pub fn destroy(&mut self, socket: &ConnectedUdp) -> io::Result<bool> {
        match self.0.change(SOCK_DESTROY, 0, request(socket.family, socket.id).as_bytes()) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn request(family: u8, id: SocketId) -> Request {
    Request { family, protocol: UDP, extensions: 0, reserved: 0, states: ESTABLISHED, id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_known_by_cookie_and_by_its_peer_in_mapped_form() {
        let mapped = [0, 0, 0xffff_u32.to_be(), 7];
        let id = |peer| SocketId { peer_port: 53, peer, cookie: [5, 1], ..SocketId::default() };
        let key = |family: i32, peer| ConnectedUdp { family: family as u8, id: id(peer) }.key();
        let wanted = SocketKey { cookie: 1 << 32 | 5, peer: SocketPeer::new(Address { words: mapped }, 53) };
        assert_eq!(key(libc::AF_INET, [7, 0, 0, 0]), wanted);
        assert_eq!(key(libc::AF_INET6, mapped), wanted);
        assert_ne!(key(libc::AF_INET6, [7, 0, 0, 0]), wanted);
    }
}
