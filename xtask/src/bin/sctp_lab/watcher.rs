//! What passes through the node.

use anyhow::{Context as _, Result};
use rustix::{
    io::{Errno, read},
    net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with},
};
use shunt::lab::Namespace;
use std::{num::NonZeroU32, os::fd::OwnedFd};

/// ETH_P_ALL of linux/if_ether.h in network byte order, as packet(7) wants it: packets that leave, too.
const EVERY_PROTOCOL: u16 = 3_u16.to_be();

const SCTP: u8 = 132;

/// Counts SCTP packets of a namespace's devices by whether they have a checksum: each twice that is forwarded.
pub struct Watcher {
    socket: OwnedFd,
    zero: usize,
    computed: usize,
}

impl Watcher {
    /// Starts to watch; what was not looked at in time may be lost.
    ///
    /// # Errors
    /// No packet socket to be had.
    pub fn new(namespace: &Namespace) -> Result<Self> {
        let protocol = NonZeroU32::new(EVERY_PROTOCOL.into()).map(Protocol::from_raw);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Without link headers.
        let socket =
            namespace.run(|| socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, protocol))?;
        Ok(Self { socket: socket.context("socket(AF_PACKET)")?, zero: 0, computed: 0 })
    }

    /// Counts what has passed until now.
    ///
    /// # Errors
    /// recv(2) fails.
    pub fn look(&mut self) -> Result<()> {
        // More than the addresses and SCTP's common header nobody needs.
        let mut packet = [0; 128];
        loop {
            match read(&self.socket, &mut packet) {
                Ok(length) => match checksum(&packet[..length]) {
                    Some([0, 0, 0, 0]) => self.zero += 1,
                    Some(_) => self.computed += 1,
                    None => {}
                },
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error).context("recv(AF_PACKET)"),
            }
        }
    }

    /// How many packets were seen without, and how many with a checksum.
    pub fn packets(&self) -> (usize, usize) {
        (self.zero, self.computed)
    }
}

/// The checksum field of an IP packet that is one of SCTP, without IPv6 extension headers.
fn checksum(packet: &[u8]) -> Option<[u8; 4]> {
    let first = *packet.first()?;
    let (protocol, header) = match first >> 4 {
        4 => (*packet.get(9)?, usize::from(first & 15) * 4),
        6 => (*packet.get(6)?, 40),
        _ => return None,
    };
    let field = packet.get(header + 8..header + 12)?.try_into().ok()?;
    (protocol == SCTP).then_some(field)
}
