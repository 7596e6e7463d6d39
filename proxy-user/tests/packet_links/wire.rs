//! Packets made and read by hand: what no socket of a client would send, and what none would show.

use shunt::lab::lan::Frames;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 0x10;

/// Extension headers of IPv6 (RFC 8200).
pub const HOP_BY_HOP: u8 = 0;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const DESTINATION_OPTIONS: u8 = 60;

const ETHERNET: usize = 14;

/// An IP packet to be made.
#[derive(Clone)]
pub struct Ip {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub hops: u8,
    pub dont_fragment: bool,
    /// IPv4 options, in words.
    pub options: Vec<u8>,
    /// IPv6 extension headers: type, and what follows the first two bytes (next header, length).
    pub extensions: Vec<(u8, Vec<u8>)>,
    /// Identification of the datagram, first byte of the fragment in it, and whether more follow.
    pub fragment: Option<(u32, usize, bool)>,
}

impl Ip {
    pub fn new(source: IpAddr, destination: IpAddr) -> Self {
        Self {
            source,
            destination,
            hops: 64,
            dont_fragment: true,
            options: Vec::new(),
            extensions: Vec::new(),
            fragment: None,
        }
    }

    /// Its bytes.
    pub fn carrying(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.v4(source, destination, protocol, payload),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.v6(source, destination, protocol, payload),
            _ => panic!("two families"),
        }
    }

    fn v4(&self, source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let total = (words * 4 + payload.len()) as u16;
        let (id, first, more) = self.fragment.unwrap_or_default();
        let dont = self.dont_fragment && self.fragment.is_none();
        let fragment = u16::from(dont) << 14 | u16::from(more) << 13 | (first / 8) as u16;
        let mut header = [
            &[0x40 | words as u8, 0][..],
            &total.to_be_bytes(),
            &(id as u16).to_be_bytes(),
            &fragment.to_be_bytes(),
            &[self.hops, protocol, 0, 0],
            &source.octets(),
            &destination.octets(),
            &self.options,
        ]
        .concat();
        let sum = !sum(0, &header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [&header, payload].concat()
    }

    fn v6(&self, source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut extensions = self.extensions.clone();
        if let Some((id, first, more)) = self.fragment {
            let mut rest = (first as u16 | u16::from(more)).to_be_bytes().to_vec();
            rest.extend(id.to_be_bytes());
            extensions.push((FRAGMENT, rest));
        }
        let following = extensions.iter().skip(1).map(|(kind, _)| *kind).chain([protocol]);
        let mut after = Vec::new();
        for ((kind, rest), next) in extensions.iter().zip(following) {
            assert!((rest.len() + 2) % 8 == 0, "an extension header is a multiple of eight bytes");
            // The length field of a fragment header is reserved.
            let length = if *kind == FRAGMENT { 0 } else { (rest.len() + 2) / 8 - 1 };
            after.extend([next, length as u8]);
            after.extend(rest);
        }
        after.extend(payload);
        let next = extensions.first().map_or(protocol, |(kind, _)| *kind);
        [
            &[0x60, 0, 0, 0][..],
            &(after.len() as u16).to_be_bytes(),
            &[next, self.hops],
            &source.octets(),
            &destination.octets(),
            &after,
        ]
        .concat()
    }
}

/// A UDP datagram with its header.
pub fn udp(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let length = (8 + data.len()) as u16;
    let header = [from.port().to_be_bytes(), to.port().to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    finished(from.ip(), to.ip(), UDP, [&header, data].concat(), 6)
}

/// A TCP segment with its header.
pub fn tcp(from: SocketAddr, to: SocketAddr, seq: u32, ack: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let header = [
        &from.port().to_be_bytes()[..],
        &to.port().to_be_bytes(),
        &seq.to_be_bytes(),
        &ack.to_be_bytes(),
        &[5 << 4, flags],
        &[0xff, 0xff, 0, 0, 0, 0],
    ]
    .concat();
    finished(from.ip(), to.ip(), TCP, [&header, data].concat(), 16)
}

/// An ICMP error about a packet, which it carries from its first byte.
pub fn icmp_error(from: IpAddr, to: IpAddr, kind: [u8; 2], number: u32, packet: &[u8]) -> Vec<u8> {
    let message = [&kind[..], &[0, 0], &number.to_be_bytes(), packet].concat();
    finished(from, to, icmp(from), message, 2)
}

/// The number of ICMP in the family of an address.
pub fn icmp(family: IpAddr) -> u8 {
    if family.is_ipv4() { 1 } else { 58 }
}

fn finished(from: IpAddr, to: IpAddr, protocol: u8, mut segment: Vec<u8>, field: usize) -> Vec<u8> {
    let check = match !sum(pseudo_header(from, to, protocol, segment.len()), &segment) {
        0 if protocol == UDP => 0xffff,
        sum => sum,
    };
    segment[field..field + 2].copy_from_slice(&check.to_be_bytes());
    segment
}

/// The sum that a checksum begins with: none for ICMP of IPv4.
fn pseudo_header(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> u32 {
    let addresses = match (from, to) {
        (IpAddr::V4(_), _) if protocol == 1 => return 0,
        (IpAddr::V4(from), IpAddr::V4(to)) => [from.octets(), to.octets()].concat(),
        (IpAddr::V6(from), IpAddr::V6(to)) => [from.octets(), to.octets()].concat(),
        _ => panic!("two families"),
    };
    u32::from(sum(0, &addresses)) + u32::from(protocol) + length as u32
}

/// The Internet checksum's sum (RFC 1071), host byte order.
fn sum(seed: u32, bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum = seed + bytes.chunks(2).map(word).sum::<u32>();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// A packet into a frame, with VLAN tags between the addresses and its EtherType, the outermost first.
pub fn frame(to: [u8; 6], from: [u8; 6], tags: &[[u8; 4]], packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] };
    [&to[..], &from, &tags.concat(), &ethertype, packet].concat()
}

/// A packet that has arrived.
#[derive(Clone, Debug)]
pub struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub hops: u8,
    pub protocol: u8,
    /// First byte of the fragment in its datagram, and whether more follow.
    pub fragment: (usize, bool),
    /// What follows the IP and extension headers.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Reads a frame without tags; `None` for what is no IP packet.
    pub fn read(frame: &[u8]) -> Option<Self> {
        match frame.get(12..14)? {
            [0x08, 0x00] => Self::v4(&frame[ETHERNET..]),
            [0x86, 0xdd] => Self::v6(&frame[ETHERNET..]),
            _ => None,
        }
    }

    /// Reads an IP packet, such as an ICMP error carries; it may be cut short.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        if packet.first()? >> 4 == 4 { Self::v4(packet) } else { Self::v6(packet) }
    }

    fn v4(packet: &[u8]) -> Option<Self> {
        let header = usize::from(packet.first()? & 0xf) * 4;
        assert_eq!(sum(0, packet.get(..header)?), 0xffff, "the checksum of the IP header: {packet:x?}");
        let end = usize::from(u16::from_be_bytes([packet[2], packet[3]])).min(packet.len());
        let fragment = u16::from_be_bytes([packet[6], packet[7]]);
        let address = |at: usize| <[u8; 4]>::try_from(&packet[at..at + 4]).unwrap();
        Some(Self {
            source: address(12).into(),
            destination: address(16).into(),
            hops: packet[8],
            protocol: packet[9],
            fragment: (usize::from(fragment & 0x1fff) * 8, fragment & 0x2000 != 0),
            payload: packet[header..end].to_vec(),
        })
    }

    fn v6(packet: &[u8]) -> Option<Self> {
        let address = |at: usize| Some(<[u8; 16]>::try_from(packet.get(at..at + 16)?).unwrap());
        let (mut next, mut at, mut fragment) = (*packet.get(6)?, 40, (0, false));
        let end = (40 + usize::from(u16::from_be_bytes([packet[4], packet[5]]))).min(packet.len());
        while matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
            let here = next;
            next = *packet.get(at)?;
            let length = packet[at + 1];
            if here == FRAGMENT {
                let word = u16::from_be_bytes([packet[at + 2], packet[at + 3]]);
                fragment = (usize::from(word & !7), word & 1 != 0);
                at += 8;
            } else {
                at += 8 + usize::from(length) * 8;
            }
        }
        Some(Self {
            source: address(8)?.into(),
            destination: address(24)?.into(),
            hops: packet[7],
            protocol: next,
            fragment,
            payload: packet.get(at..end)?.to_vec(),
        })
    }

    /// Source and destination, as far as it has ports.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        let port = |at: usize| u16::from_be_bytes([self.payload[at], self.payload[at + 1]]);
        (SocketAddr::new(self.source, port(0)), SocketAddr::new(self.destination, port(2)))
    }

    /// That its transport checksum is right.
    pub fn assert_checksum(&self) {
        let seed = pseudo_header(self.source, self.destination, self.protocol, self.payload.len());
        assert_eq!(sum(seed, &self.payload), 0xffff, "the checksum of {self:x?}");
    }

    /// Sequence number, acknowledged number, flags and data of a TCP segment.
    pub fn segment(&self) -> (u32, u32, u8, &[u8]) {
        let word = |at: usize| u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap());
        let header = usize::from(self.payload[12] >> 4) * 4;
        (word(4), word(8), self.payload[13], &self.payload[header..])
    }

    /// Data of a UDP datagram.
    pub fn data(&self) -> &[u8] {
        &self.payload[8..]
    }

    /// Type, code and number of an ICMP message, and the packet that it carries, if it is an error.
    pub fn error(&self) -> Option<([u8; 2], u32, Self)> {
        let [kind, code, _, _, number @ ..] = <[u8; 8]>::try_from(self.payload.get(..8)?).unwrap();
        let is_error = if self.source.is_ipv4() { matches!(kind, 3 | 11 | 12) } else { kind < 128 };
        if self.protocol != icmp(self.source) || !is_error {
            return None;
        }
        Some(([kind, code], u32::from_be_bytes(number), Self::parse(&self.payload[8..])?))
    }
}

/// Receives the next packet that is as wanted; every one on the way is read, and its checksum is looked at.
pub fn receive(frames: &Frames, limit: Duration, mut wanted: impl FnMut(&Packet) -> bool) -> Option<Packet> {
    let mut found = None;
    let mine = |frame: &[u8]| {
        // The switch floods what it does not know yet.
        let packet = frame.starts_with(&frames.mac()).then(|| Packet::read(frame)).flatten()?;
        if packet.fragment == (0, false) {
            packet.assert_checksum();
        }
        wanted(&packet).then_some(packet)
    };
    let mut mine = mine;
    let looked = frames.receive(limit, |frame| {
        found = mine(frame);
        found.is_some()
    });
    looked.unwrap();
    found
}
