//! Replaces addresses, ports and time to live of a packet, and what sums them up.

use super::headers::{Headers, Ipv4, Part};
use super::{Fix, Packet, Sum, Work, checksum, crc32c};
use crate::abi::{Ports, SCTP, TCP, Tuple, UDP};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes 8 to 20 of an IPv4 header.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Ipv4Tail {
    hops: u8,
    protocol: u8,
    checksum: u16,
    source: u32,
    destination: u32,
}

/// The same, and the ports that follow a header without options.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Ipv4TailAndPorts {
    tail: Ipv4Tail,
    ports: Ports,
}

/// Bytes 8 to 40 of an IPv6 header.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Ipv6Tail {
    source: [u32; 4],
    destination: [u32; 4],
}

/// Makes a packet of tuple `work.tuple` one of tuple `work.to`. Without a transport header (a later fragment) ports
/// and their checksum are elsewhere. `None` where that cannot be done.
#[inline(always)]
pub fn rewrite<P: Packet>(packet: &mut P, work: &Work, hops: u8) -> Option<()> {
    let Work { headers, to, .. } = work;
    if work.has_transport && transport(packet, work)? {
        let ports = Ports { source: to.source_port, destination: to.destination_port };
        if !headers.is_v6(packet) && headers.transport.wrapping_sub(headers.ip) == size_of::<Ipv4>() as u32 {
            // One store for ports and addresses: the usual packet.
            let tail = Ipv4TailAndPorts { tail: ipv4_tail(packet, headers, to, hops), ports };
            return packet.store(headers.ip.wrapping_add(8), &tail, Sum::Balanced);
        }
        packet.store(headers.transport, &ports, Sum::Balanced)?;
    }
    addresses(packet, headers, to, hops)
}

/// Replaces the addresses and the time to live.
#[inline(always)]
pub fn addresses<P: Packet>(packet: &mut P, headers: &Headers, to: &Tuple, hops: u8) -> Option<()> {
    if headers.is_v6(packet) {
        let hops = packet.forget(u32::from(hops)) as u8;
        if hops != headers.hops {
            packet.store(headers.ip.wrapping_add(7), &hops, Sum::Changed)?;
        }
        let tail = Ipv6Tail { source: to.source.words, destination: to.destination.words };
        return packet.store(headers.ip.wrapping_add(8), &tail, Sum::Changed);
    }
    let tail = ipv4_tail(packet, headers, to, hops);
    packet.store(headers.ip.wrapping_add(8), &tail, Sum::Balanced)
}

/// The end of an IPv4 header with other addresses and another time to live.
#[inline(always)]
fn ipv4_tail<P: Packet>(packet: &P, headers: &Headers, to: &Tuple, hops: u8) -> Ipv4Tail {
    let hops = packet.forget(u32::from(hops)) as u8;
    let [.., old_source] = headers.source.words;
    let [.., old_destination] = headers.destination.words;
    let [.., source] = to.source.words;
    let [.., destination] = to.destination.words;
    // The word of time to live and protocol, of which the first byte in memory changes.
    let hops_word = |hops: u8| u32::from(u16::from_ne_bytes([hops, headers.protocol]));
    let difference = checksum::add(
        checksum::add(checksum::changed(old_source, source), checksum::changed(old_destination, destination)),
        checksum::changed(hops_word(headers.hops), hops_word(hops)),
    );
    Ipv4Tail {
        hops,
        protocol: headers.protocol,
        checksum: checksum::updated(headers.checksum, difference),
        source,
        destination,
    }
}

/// Corrects the transport checksum, which is over the addresses too, and replaces the ports; or leaves that to the
/// caller: true, their checksum is corrected.
#[inline(always)]
fn transport<P: Packet>(packet: &mut P, work: &Work) -> Option<bool> {
    let Work { headers, tuple: from, to, .. } = work;
    let at = headers.transport;
    let ports = Ports { source: to.source_port, destination: to.destination_port };
    let changed = from.source_port != to.source_port || from.destination_port != to.destination_port;
    if headers.protocol == SCTP {
        // Its checksum leaves the addresses out.
        if changed {
            sctp_checksum(packet, headers, from, to)?;
            packet.store(at, &ports, Sum::Changed)?;
        }
        return Some(false);
    }
    if !work.transport.has_checksum {
        if changed {
            packet.store(at, &ports, Sum::Changed)?;
        }
        return Some(false);
    }
    let udp = headers.protocol == UDP;
    let field = packet.forget(at.wrapping_add(if headers.protocol == TCP { 16 } else { 6 }));
    let addresses = packet.forget(checksum::addresses(from, to, headers.is_v6(packet)));
    packet.fix_checksum(field, addresses, Fix::PseudoHeader, udp)?;
    if changed {
        packet.fix_checksum(field, checksum::ports(from, to), Fix::Payload, udp)?;
    }
    Some(changed)
}

/// Corrects an SCTP packet's CRC32c for its new ports. Over a packet in fragments it cannot be.
#[inline(always)]
fn sctp_checksum<P: Packet>(packet: &mut P, headers: &Headers, from: &Tuple, to: &Tuple) -> Option<()> {
    if headers.part as u8 != Part::Whole as u8 {
        return None;
    }
    let field = headers.transport.wrapping_add(8);
    let old: [u8; 4] = packet.load(field)?;
    let ports = |tuple: &Tuple| {
        let ([a, b], [c, d]) = (tuple.source_port.to_ne_bytes(), tuple.destination_port.to_ne_bytes());
        [a, b, c, d]
    };
    let after = headers.end.wrapping_sub(headers.transport).wrapping_sub(4);
    let new = crc32c::updated(old, ports(from), ports(to), after);
    packet.store(field, &new, Sum::Changed)
}
