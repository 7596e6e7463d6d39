//! Connected UDP sockets of one network namespace: found and destroyed by NETLINK_SOCK_DIAG
//! (sock_diag(7)). No bpf(2) here and no unsafe: rustix has the socket, zerocopy the messages.

use proxy_common::abi::{Address, SocketKey, SocketPeer, UDP};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, netlink, recv, send, socket_with,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// include/uapi/linux/sock_diag.h.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// The same; Linux 4.5, for UDP 4.9 (commit 5d77dca82839).
const SOCK_DESTROY: u16 = 21;

/// `1 << TCP_ESTABLISHED`: the state of a connected UDP socket too (`__ip4_datagram_connect`).
const ESTABLISHED: u32 = 1 << 1;

/// The kernel makes no part of a dump larger (`netlink_recvmsg` caps it at 32 KiB).
const LARGEST: usize = 32 * 1024;

/// The kernel answers at once; who waits longer waits for ever.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How often a dump is begun that the kernel says was disturbed.
const ATTEMPTS: u32 = 4;

/// `struct nlmsghdr`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    /// Bytes, with the header and without the padding to the next message.
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

/// `struct inet_diag_sockid`. Ports and addresses in network byte order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct SocketId {
    own_port: u16,
    peer_port: u16,
    own: [u32; 4],
    peer: [u32; 4],
    device: u32,
    /// Low half first.
    cookie: [u32; 2],
}

/// `struct inet_diag_req_v2` behind its header.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Request {
    header: Header,
    family: u8,
    protocol: u8,
    extensions: u8,
    reserved: u8,
    states: u32,
    id: SocketId,
}

/// The start of `struct inet_diag_msg`; the rest is statistics.
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Found {
    family: u8,
    state: u8,
    timer: u8,
    retransmits: u8,
    id: SocketId,
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
pub struct SockDiag {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl SockDiag {
    /// Asks about the network namespace that the calling thread is in, for good.
    ///
    /// # Errors
    /// Of socket(2) (EPROTONOSUPPORT: no sock_diag), connect(2) or setsockopt(2).
    pub fn open() -> io::Result<Self> {
        let protocol = Some(netlink::SOCK_DIAG);
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, protocol)?;
        // Connected to the kernel, it receives from nobody else.
        connect(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIME))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; LARGEST] })
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
            let before = sockets.len();
            let mut attempts = ATTEMPTS;
            while !self.dump(family as u8, &wanted, &mut sockets)? {
                sockets.truncate(before);
                attempts -= 1;
                if attempts == 0 {
                    return Err(io::ErrorKind::Interrupted.into());
                }
            }
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
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        self.ask(SOCK_DESTROY, flags, socket.family, socket.id)?;
        match self.answer(|_| {}) {
            Ok(_) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds the sockets of one family; false if the kernel says that the dump was disturbed.
    fn dump(
        &mut self,
        family: u8,
        wanted: impl Fn(&SocketKey) -> bool,
        to: &mut Vec<ConnectedUdp>,
    ) -> io::Result<bool> {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_DUMP;
        self.ask(SOCK_DIAG_BY_FAMILY, flags, family, SocketId::default())?;
        self.answer(|payload| {
            if let Ok((Found { family, id, .. }, _)) = Found::read_from_prefix(payload) {
                let socket = ConnectedUdp { family, id };
                if wanted(&socket.key()) {
                    to.push(socket);
                }
            }
        })
    }

    fn ask(&mut self, kind: u16, flags: i32, family: u8, id: SocketId) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = size_of::<Request>() as u32;
        let header = Header { length, kind, flags: flags as u16, sequence: self.sequence, port: 0 };
        let (protocol, states) = (UDP, ESTABLISHED);
        let request = Request { header, family, protocol, extensions: 0, reserved: 0, states, id };
        retry_on_intr(|| send(&self.socket, request.as_bytes(), SendFlags::empty()))?;
        Ok(())
    }

    /// Takes the whole answer to the last request in; false if a dump was disturbed.
    fn answer(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut whole = true;
        loop {
            let received = retry_on_intr(|| recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC));
            let (_, length) = received.map_err(|error| match error {
                Errno::AGAIN => io::ErrorKind::TimedOut.into(),
                error => io::Error::from(error),
            })?;
            // Longer than the buffer: the kernel has thrown the end away.
            let part = self.buffer.get(..length).ok_or(io::ErrorKind::InvalidData)?;
            for message in messages(part) {
                let (header, payload) = message?;
                if header.sequence != self.sequence {
                    continue;
                }
                whole &= i32::from(header.flags) & libc::NLM_F_DUMP_INTR == 0;
                match i32::from(header.kind) {
                    libc::NLMSG_DONE | libc::NLMSG_ERROR => return status(payload).map(|()| whole),
                    _ if header.kind == SOCK_DIAG_BY_FAMILY => each(payload),
                    _ => {}
                }
            }
        }
    }
}

/// The messages that were received at once, each without its header.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = io::Result<(Header, &[u8])>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = Header::read_from_prefix(rest).ok().and_then(|(header, _)| {
            let length = header.length as usize;
            let payload = rest.get(size_of::<Header>()..length)?;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((header, payload))
        });
        if message.is_none() {
            rest = &[];
        }
        Some(message.ok_or_else(|| io::ErrorKind::InvalidData.into()))
    })
}

/// The end of a dump (NLMSG_DONE) and the answer to a command (NLMSG_ERROR) both begin with zero or a
/// negative errno.
fn status(payload: &[u8]) -> io::Result<()> {
    match i32::read_from_prefix(payload) {
        Ok((0, _)) => Ok(()),
        Ok((errno @ -4095..0, _)) => Err(io::Error::from_raw_os_error(-errno)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: i32, payload: &[u8]) -> Vec<u8> {
        let length = (size_of::<Header>() + payload.len()) as u32;
        let header = Header { length, kind: kind as u16, flags: 0, sequence: 1, port: 0 };
        [header.as_bytes(), payload].concat()
    }

    fn read(bytes: &[u8]) -> Vec<Option<(u16, &[u8])>> {
        messages(bytes).map(|message| message.ok().map(|(header, payload)| (header.kind, payload))).collect()
    }

    #[test]
    fn messages_follow_each_other_at_multiples_of_four_bytes() {
        let mut bytes = message(20, b"abcde");
        bytes.extend([0; 3]);
        bytes.extend(message(3, b""));
        assert_eq!(read(&bytes), [Some((20, &b"abcde"[..])), Some((3, b""))]);
        assert_eq!(read(&[]), []);
    }

    #[test]
    fn a_message_that_is_cut_or_lies_about_its_length_ends_the_reading() {
        let whole = message(20, b"abcd");
        for length in 1..whole.len() {
            assert_eq!(read(&whole[..length]), [None], "{length} bytes");
        }
        for lie in [0, 1, 15, u32::MAX] {
            let mut bytes = [whole.clone(), whole.clone()].concat();
            bytes[..4].copy_from_slice(&lie.to_ne_bytes());
            assert_eq!(read(&bytes), [None], "{lie}");
        }
    }

    #[test]
    fn the_end_of_an_answer_is_zero_or_an_errno() {
        assert!(status(&0_i32.to_ne_bytes()).is_ok());
        let error = |status_bytes: &[u8]| status(status_bytes).unwrap_err();
        assert_eq!(error(&(-libc::ENOENT).to_ne_bytes()).raw_os_error(), Some(libc::ENOENT));
        for nonsense in [&b""[..], b"abc", &1_i32.to_ne_bytes(), &i32::MIN.to_ne_bytes()] {
            assert_eq!(error(nonsense).kind(), io::ErrorKind::InvalidData);
        }
    }

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
