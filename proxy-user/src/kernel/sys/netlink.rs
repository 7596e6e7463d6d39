//! A conversation with the kernel by netlink (netlink(7)), for the few requests that Shunt itself makes. No
//! bpf(2) here and no unsafe: rustix has the socket, zerocopy the messages.

use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt::{Timeout, set_socket_send_buffer_size_force, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, connect, netlink, recv, send,
    socket_with,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The kernel makes no part of a dump larger (`netlink_recvmsg` caps it at 32 KiB).
const LARGEST: usize = 32 * 1024;

/// The kernel answers at once; who waits longer waits for ever.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How often a dump is begun that the kernel says was disturbed.
const ATTEMPTS: u32 = 4;

/// The last number that is an error: of ipset's, which begin at 4096 and have 256 places for those of a type.
const LAST_ERROR: i32 = -(4096 + 511);

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

/// A socket that speaks with the kernel alone, about the network namespace of the thread that opened it. After
/// an error it is in disorder: open another one.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// `None` is protocol 0, NETLINK_ROUTE.
    ///
    /// # Errors
    /// Of socket(2) (EPROTONOSUPPORT: the kernel has no such protocol), connect(2) or setsockopt(2).
    pub fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        // Connected to the kernel, it receives from nobody else.
        connect(&socket, &netlink::SocketAddrNetlink::new(0, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIME))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; LARGEST] })
    }

    /// Asks for a change; `flags` beside NLM_F_REQUEST and NLM_F_ACK.
    ///
    /// # Errors
    /// What the kernel answers; `TimedOut`: it did not. `InvalidData`: what came is no answer. Or of send(2) or
    /// recv(2).
    pub fn change(&mut self, kind: u16, flags: i32, payload: &[u8]) -> io::Result<()> {
        self.ask(kind, flags | libc::NLM_F_ACK, payload)?;
        self.answer(|_, _| {}).map(drop)
    }

    /// Asks for a list; what `found` makes of a message's type and payload is in it.
    ///
    /// # Errors
    /// As for [`Self::change`], or `Interrupted`: too much changed meanwhile.
    pub fn dump<T>(
        &mut self,
        kind: u16,
        payload: &[u8],
        mut found: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        for _ in 0..ATTEMPTS {
            let mut list = Vec::new();
            self.ask(kind, libc::NLM_F_DUMP, payload)?;
            if self.answer(|kind, payload| list.extend(found(kind, payload)))? {
                return Ok(list);
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Asks for one thing; what `found` makes of the last message that it could read. `None`: of none.
    ///
    /// # Errors
    /// As for [`Self::change`].
    pub fn get<T>(
        &mut self,
        kind: u16,
        payload: &[u8],
        mut found: impl FnMut(&[u8]) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let mut last = None;
        self.ask(kind, libc::NLM_F_ACK, payload)?;
        self.answer(|_, payload| last = found(payload).or(last.take()))?;
        Ok(last)
    }

    /// Asks for changes of which the kernel makes all or none: the first request opens the batch and the last one
    /// ends it (nfnetlink). Nothing but the one before that is acknowledged, so that no answer is lost in a long one.
    ///
    /// # Errors
    /// As for [`Self::change`], with the place of the request that was refused.
    pub fn batch(&mut self, requests: &[(u16, Vec<u8>)]) -> Result<(), (Option<usize>, io::Error)> {
        let nowhere = |error: io::Error| (None, error);
        let acknowledged = requests.len().saturating_sub(2);
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for (place, (kind, payload)) in requests.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            let ack = if place == acknowledged { libc::NLM_F_ACK } else { 0 };
            let header = Header {
                length: (size_of::<Header>() + payload.len()) as u32,
                kind: *kind,
                flags: (ack | libc::NLM_F_REQUEST) as u16,
                sequence: self.sequence,
                port: 0,
            };
            bytes.extend(header.as_bytes());
            bytes.extend(payload);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        // A batch is one datagram, which must fit into what the socket may have under way, bookkeeping included.
        set_socket_send_buffer_size_force(&self.socket, 2 * bytes.len() + LARGEST)
            .map_err(|error| nowhere(error.into()))?;
        retry_on_intr(|| send(&self.socket, &bytes, SendFlags::empty()))
            .map_err(|error| nowhere(error.into()))?;
        let mut refused = None;
        loop {
            let received = retry_on_intr(|| recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::TRUNC));
            let (_, length) = received.map_err(|error| match error {
                Errno::AGAIN => nowhere(io::ErrorKind::TimedOut.into()),
                error => nowhere(error.into()),
            })?;
            let part = self.buffer.get(..length).ok_or_else(|| nowhere(io::ErrorKind::InvalidData.into()))?;
            for message in messages(part) {
                let (header, payload) = message.map_err(nowhere)?;
                let place = header.sequence.wrapping_sub(first) as usize;
                if i32::from(header.kind) != libc::NLMSG_ERROR || place >= requests.len() {
                    continue;
                }
                if let Err(error) = status(payload) {
                    // What is told of the first request is told of the batch; nothing has to follow.
                    if place == 0 {
                        return Err((None, error));
                    }
                    refused.get_or_insert((Some(place), error));
                }
                if place == acknowledged {
                    return refused.map_or(Ok(()), Err);
                }
            }
        }
    }

    fn ask(&mut self, kind: u16, flags: i32, payload: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = (size_of::<Header>() + payload.len()) as u32;
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        let header = Header { length, kind, flags, sequence: self.sequence, port: 0 };
        let request = [header.as_bytes(), payload].concat();
        retry_on_intr(|| send(&self.socket, &request, SendFlags::empty()))?;
        Ok(())
    }

    /// Takes the whole answer to the last request in; false if a dump was disturbed.
    fn answer(&mut self, mut each: impl FnMut(u16, &[u8])) -> io::Result<bool> {
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
                    _ => each(header.kind, payload),
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
/// negative errno; ipset has numbers of its own behind those (`enum ipset_errno`).
fn status(payload: &[u8]) -> io::Result<()> {
    match i32::read_from_prefix(payload) {
        Ok((0, _)) => Ok(()),
        Ok((errno @ LAST_ERROR..0, _)) => Err(io::Error::from_raw_os_error(-errno)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Appends an attribute (`struct nlattr`).
pub(super) fn push_attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = (2 * size_of::<u16>() + value.len()) as u16;
    to.extend(length.to_ne_bytes());
    to.extend(kind.to_ne_bytes());
    to.extend(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The attributes of a message, each with its type; the reading ends at one that lies about its length.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let ([length, kind], _) = <[u16; 2]>::read_from_prefix(rest).ok()?;
        let value = rest.get(2 * size_of::<u16>()..usize::from(length))?;
        rest = rest.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
        // NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of the type.
        Some((kind & libc::NLA_TYPE_MASK as u16, value))
    })
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
    fn attributes_are_read_as_they_are_written_and_no_further_than_they_go() {
        let mut bytes = Vec::new();
        push_attribute(&mut bytes, 1, b"bpf\0");
        push_attribute(&mut bytes, 2 | libc::NLA_F_NESTED as u16, b"abcde");
        push_attribute(&mut bytes, 3, b"");
        let wanted = [(1, &b"bpf\0"[..]), (2, b"abcde"), (3, b"")];
        assert!(bytes.len().is_multiple_of(4));
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), wanted);
        assert_eq!(attributes(&bytes[..9]).collect::<Vec<_>>(), wanted[..1]);
        for lie in [0_u16, 3, u16::MAX] {
            bytes[..2].copy_from_slice(&lie.to_ne_bytes());
            assert_eq!(attributes(&bytes).count(), 0, "{lie}");
        }
    }
}
