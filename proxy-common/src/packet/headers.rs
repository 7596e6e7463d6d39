//! Reads the headers of a packet.

use super::Packet;
use crate::abi::{Address, DeviceFlags, ICMP, ICMPV6, Ports, SCTP, Seen, TCP, UDP};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// EtherTypes, network byte order.
const IPV4: u16 = 0x0800_u16.to_be();
const IPV6: u16 = 0x86dd_u16.to_be();
const VLAN: u16 = 0x8100_u16.to_be();
const PROVIDER_VLAN: u16 = 0x88a8_u16.to_be();

/// Bytes of an Ethernet header, and of a VLAN tag.
const ETHERNET: u32 = 14;
const TAG: u32 = 4;

/// IPv6 extension headers that may stand before the transport header (RFC 8200).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// Linux sends at most one of each.
const MOST_EXTENSIONS: usize = 6;

/// An IPv4 header without options (RFC 791).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ipv4 {
    pub version_and_length: u8,
    pub service: u8,
    pub total_length: u16,
    pub id: u16,
    pub fragment: u16,
    pub hops: u8,
    pub protocol: u8,
    pub checksum: u16,
    pub source: u32,
    pub destination: u32,
}

/// An IPv6 header (RFC 8200).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ipv6 {
    pub version_and_flow: u32,
    pub payload_length: u16,
    pub next_header: u8,
    pub hops: u8,
    pub source: [u32; 4],
    pub destination: [u32; 4],
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// Its first fragment, which has the transport header.
    First,
    /// A later one.
    Later,
}

/// The parts as numbers.
const WHOLE: u32 = Part::Whole as u32;
const FIRST: u32 = Part::First as u32;
const LATER: u32 = Part::Later as u32;

/// The IP header of a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers {
    /// Where the IP header begins.
    pub ip: u32,
    /// Where the transport header begins; of a later fragment, what it carries.
    pub transport: u32,
    /// Where the IP packet ends. The link may have padded it.
    pub end: u32,
    /// Identification of a datagram in fragments, as the packet has it.
    pub id: u32,
    pub v6: bool,
    /// Time to live, hop limit.
    pub hops: u8,
    /// The header's checksum; IPv4 only.
    pub checksum: u16,
    pub protocol: u8,
    pub part: Part,
    pub source: Address,
    pub destination: Address,
}

impl Headers {
    /// `v6`, looked at anew: see [`Packet::forget`].
    #[inline(always)]
    pub fn is_v6<P: Packet>(&self, packet: &P) -> bool {
        packet.forget(u32::from(self.v6)) != 0
    }

    /// `protocol`, likewise.
    #[inline(always)]
    pub fn protocol<P: Packet>(&self, packet: &P) -> u8 {
        packet.forget(u32::from(self.protocol)) as u8
    }
}

/// What a transport header says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Transport {
    pub ports: Ports,
    /// It opens a connection: SYN without ACK, INIT.
    pub begins: bool,
    /// What its sender does by it.
    pub seen: Seen,
    /// It has a checksum; UDP may go without.
    pub has_checksum: bool,
}

/// Where the IP header of a packet begins, and its EtherType.
#[inline(always)]
fn link<P: Packet>(packet: &P, device: DeviceFlags) -> Option<(u32, u16)> {
    let ethertype = packet.ethertype();
    if device.contains(DeviceFlags::HEADERLESS) {
        return Some((0, ethertype));
    }
    let mut found = (ETHERNET, ethertype);
    // The outermost tag stands beside the packet as a rule: here are what is left.
    for _ in 0..2 {
        if found.1 != VLAN && found.1 != PROVIDER_VLAN {
            break;
        }
        found = (found.0.wrapping_add(TAG), packet.load::<u16>(found.0.wrapping_add(2))?);
    }
    Some(found)
}

/// Reads the IP header; `None` for what is no IP packet, not all of one, or one that nobody but its receiver should
/// touch.
#[inline(always)]
pub fn read<P: Packet>(packet: &P, device: DeviceFlags, into: &mut Headers) -> Option<()> {
    let (ip, ethertype) = link(packet, device)?;
    match ethertype {
        IPV4 => ipv4(packet, ip, into)?,
        IPV6 => ipv6(packet, ip, into)?,
        _ => return None,
    }
    if packet.segment() != 0 {
        // Beyond 64 KiB its length field is zero.
        into.end = packet.length();
    }
    (into.transport <= into.end && into.end <= packet.length()).then_some(())
}

/// Reads an IPv4 header at `ip`.
#[inline(always)]
pub fn ipv4<P: Packet>(packet: &P, ip: u32, into: &mut Headers) -> Option<()> {
    let header: Ipv4 = packet.load(ip)?;
    let length = u32::from(header.version_and_length & 0xf).wrapping_mul(4);
    if header.version_and_length >> 4 != 4 || length < 20 {
        return None;
    }
    let fragment = u16::from_be(header.fragment);
    let part = match (fragment & 0x1fff, fragment & 0x2000) {
        (0, 0) => Part::Whole,
        (0, _) => Part::First,
        _ => Part::Later,
    };
    *into = Headers {
        ip,
        transport: ip.wrapping_add(length),
        end: ip.wrapping_add(u32::from(u16::from_be(header.total_length))),
        id: u32::from(header.id),
        v6: false,
        hops: header.hops,
        checksum: header.checksum,
        protocol: header.protocol,
        part,
        source: Address::from_v4_word(header.source),
        destination: Address::from_v4_word(header.destination),
    };
    Some(())
}

/// Reads an IPv6 header at `ip`, and those between it and the transport header.
#[inline(always)]
pub fn ipv6<P: Packet>(packet: &P, ip: u32, into: &mut Headers) -> Option<()> {
    let header: Ipv6 = packet.load(ip)?;
    if u32::from_be(header.version_and_flow) >> 28 != 6 {
        return None;
    }
    // IPv4-mapped addresses stand for those of IPv4 in the maps; on a link nobody has them, and the kernel takes no
    // packet from one (`ip6_rcv`).
    let (source, destination) = (Address { words: header.source }, Address { words: header.destination });
    if source.v4_word().is_some() || destination.v4_word().is_some() {
        return None;
    }
    let mut next = header.next_header;
    let mut at = ip.wrapping_add(size_of::<Ipv6>() as u32);
    let end = at.wrapping_add(u32::from(u16::from_be(header.payload_length)));
    let (mut part, mut id) = (WHOLE, 0);
    for _ in 0..MOST_EXTENSIONS {
        (at, next) = (packet.forget(at), packet.forget(u32::from(next)) as u8);
        (part, id) = (packet.forget(part), packet.forget(id));
        match next {
            HOP_BY_HOP | DESTINATION_OPTIONS | ROUTING => {
                let [following, length, _, left] = packet.load::<[u8; 4]>(at)?;
                // Another node is to get it first.
                if next == ROUTING && left != 0 {
                    return None;
                }
                next = following;
                at = at.wrapping_add(u32::from(length).wrapping_mul(8)).wrapping_add(8);
            }
            AUTHENTICATION => {
                let [following, length] = packet.load::<[u8; 2]>(at)?;
                next = following;
                at = at.wrapping_add(u32::from(length).wrapping_mul(4)).wrapping_add(8);
            }
            FRAGMENT => {
                let [first, identification] = packet.load::<[u32; 2]>(at)?;
                let first = u32::from_be(first);
                next = (first >> 24) as u8;
                at = at.wrapping_add(8);
                match (first & 0xfff8, first & 1) {
                    // An atomic fragment (RFC 6946): all there is.
                    (0, 0) => {}
                    (0, _) => (part, id) = (FIRST, identification),
                    _ => {
                        (part, id) = (LATER, identification);
                        break;
                    }
                }
            }
            _ => break,
        }
    }
    *into = Headers {
        ip,
        transport: packet.forget(at),
        end,
        id: packet.forget(id),
        v6: true,
        hops: header.hops,
        checksum: 0,
        protocol: packet.forget(u32::from(next)) as u8,
        part: match packet.forget(part) {
            WHOLE => Part::Whole,
            FIRST => Part::First,
            _ => Part::Later,
        },
        source,
        destination,
    };
    Some(())
}

/// True for the protocols that Services have.
#[inline(always)]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}

/// True for ICMP of the packet's family.
#[inline(always)]
pub const fn is_icmp(headers: &Headers) -> bool {
    headers.protocol == if headers.v6 { ICMPV6 } else { ICMP }
}

/// Reads the transport header of a protocol that has ports; `None` if that is cut short.
#[inline(always)]
pub fn transport<P: Packet>(packet: &P, headers: &Headers) -> Option<Transport> {
    let least = match headers.protocol {
        TCP => 20,
        UDP => 8,
        // With the header of a chunk.
        _ => 16,
    };
    if headers.end.wrapping_sub(headers.transport) < least {
        return None;
    }
    if headers.protocol == UDP {
        let [ports, length_and_checksum] = packet.load::<[u32; 2]>(headers.transport)?;
        let has_checksum = u32::from_be(length_and_checksum) & 0xffff != 0;
        return Some(Transport {
            ports: zerocopy::transmute!(ports),
            begins: false,
            seen: Seen::ANY,
            has_checksum,
        });
    }
    let [ports, _, _, fourth] = packet.load::<[u32; 4]>(headers.transport)?;
    let fourth = u32::from_be(fourth);
    let (begins, seen) = if headers.protocol == TCP { tcp(fourth) } else { sctp(fourth) };
    Some(Transport { ports: zerocopy::transmute!(ports), begins, seen, has_checksum: true })
}

/// Bytes 12 to 15 of a TCP header (RFC 9293).
#[inline(always)]
const fn tcp(word: u32) -> (bool, Seen) {
    let flags = word >> 16;
    let seen = if flags & 4 != 0 {
        Seen::RESET
    } else if flags & 1 != 0 {
        Seen::FIN
    } else {
        Seen::ANY
    };
    (flags & 0x12 == 2, seen.union(Seen::ANY))
}

/// The first chunk of an SCTP packet (RFC 9260): INIT, ABORT, SHUTDOWN and what answers it.
#[inline(always)]
const fn sctp(word: u32) -> (bool, Seen) {
    let chunk = word >> 24;
    let seen = match chunk {
        6 => Seen::RESET,
        7 | 8 | 14 => Seen::FIN,
        _ => Seen::ANY,
    };
    (chunk == 1, seen.union(Seen::ANY))
}
