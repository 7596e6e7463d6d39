//! Answers that are built in place of the packet that they are about: TCP resets (RFC 9293, 3.10.7.1) and ICMP
//! errors (RFC 792, RFC 1191, RFC 4443).

use super::headers::{self, Headers, Ipv4, Ipv6, Part};
use super::{Next, Packet, Sum, Work, checksum, crc32c};
use crate::abi::{Address, ICMP, ICMPV6, SCTP, TCP, UDP};

/// Bytes of a TCP header without options, of an ICMP error's header.
const TCP_HEADER: u32 = 20;
const ICMP_HEADER: u32 = 8;

/// TCP flags, where they stand in bytes 12 to 15 of the header; and a header length of five words.
const SYN_AND_FIN: u32 = 3 << 16;
const RST: u32 = 4 << 16;
const ACK: u32 = 0x10 << 16;
const FIVE_WORDS: u32 = 5 << 28;

/// Type and code, as they stand in the packet.
const PORT_UNREACHABLE: [u8; 2] = [3, 3];
const FRAGMENTATION_NEEDED: [u8; 2] = [3, 4];
const PORT_UNREACHABLE6: [u8; 2] = [1, 4];
const PACKET_TOO_BIG6: [u8; 2] = [2, 0];

/// What every link carries: the smallest MTU of IPv6, and what every IPv4 host takes (RFC 791).
const LEAST_MTU6: u32 = 1280;
const LEAST_MTU4: u32 = 576;

/// 32-bit words of IP and extension headers; a packet that has more before its transport header is not answered.
const MOST_HEADERS: usize = 32;
/// 32-bit words of a transport header that an ICMP error carries.
const MOST_TRANSPORT: usize = 5;

/// What a packet is answered with.
#[derive(Clone, Copy, Debug, Default)]
#[repr(u32)]
pub enum Answer {
    /// A TCP segment by RST, anything else by ICMP port unreachable.
    #[default]
    Refusal = 0,
    /// The MTU that it exceeds, in bytes; zero if that is not known.
    TooBig(u32) = 1,
}

/// Makes a packet its answer. What must not be answered, or cannot be, is dropped.
#[inline(always)]
pub fn build<P: Packet>(packet: &mut P, work: &Work) -> Next {
    let headers = &work.headers;
    let (kind, number) = match (work.answer, headers.v6) {
        (Answer::Refusal, false) => (PORT_UNREACHABLE, 0),
        (Answer::Refusal, true) => (PORT_UNREACHABLE6, 0),
        (Answer::TooBig(0), false) => (FRAGMENTATION_NEEDED, LEAST_MTU4),
        (Answer::TooBig(mtu), false) => (FRAGMENTATION_NEEDED, mtu.min(0xffff)),
        (Answer::TooBig(mtu), true) => (PACKET_TOO_BIG6, mtu.max(LEAST_MTU6)),
    };
    let built = if matches!(work.answer, Answer::Refusal) && headers.protocol == TCP {
        reset(packet, headers)
    } else {
        icmp(packet, headers, kind, number)
    };
    if built.is_some() { Next::Return } else { Next::Drop }
}

/// Makes a TCP segment the RST that answers it.
#[inline(always)]
fn reset<P: Packet>(packet: &mut P, headers: &Headers) -> Option<()> {
    checked(packet, headers)?;
    let at = headers.transport;
    let [ports, sequence, acknowledged, fourth, _] = packet.load::<[u32; 5]>(at)?;
    let fourth = u32::from_be(fourth);
    if fourth & RST != 0 {
        return None;
    }
    let (sequence, acknowledge, flags) = if fourth & ACK != 0 {
        (acknowledged, 0, RST)
    } else {
        let acknowledge = u32::from_be(sequence).wrapping_add(occupied(headers, fourth)?);
        (0, acknowledge.to_be(), RST | ACK)
    };
    let partial = checksum::is_partial(packet, at.wrapping_add(16))?;
    packet.resize(at.wrapping_add(TCP_HEADER))?;
    // Options and extension headers go from before it: where the kernel sums from stays.
    let ip_header = ip_header_length(headers);
    let longer = at.wrapping_sub(headers.ip).wrapping_sub(ip_header);
    if longer != 0 {
        packet.make_room((longer as i32).wrapping_neg())?;
    }
    let words = [ports.rotate_left(16), sequence, acknowledge, (FIVE_WORDS | flags).to_be()];
    let pseudo = checksum::pseudo_header(&headers.source, &headers.destination, headers.v6, TCP, TCP_HEADER);
    let check = if partial {
        checksum::fold(pseudo)
    } else {
        !checksum::fold(checksum::add(pseudo, checksum::words(words)))
    };
    let [a, b, c, d] = words;
    let last = u32::from_ne_bytes(zerocopy::transmute!([check, 0]));
    packet.store(headers.ip.wrapping_add(ip_header), &[a, b, c, d, last], Sum::Changed)?;
    store_ip_header(packet, headers, TCP, TCP_HEADER)
}

/// How much of the sequence space a segment takes up: its data, SYN and FIN.
#[inline(always)]
fn occupied(headers: &Headers, fourth: u32) -> Option<u32> {
    // All of its data is known in the last fragment only.
    if headers.part as u8 != Part::Whole as u8 {
        return None;
    }
    let header = (fourth >> 28).wrapping_mul(4);
    let data = carried(headers).checked_sub(header)?;
    (header >= TCP_HEADER).then_some(data.wrapping_add((fourth & SYN_AND_FIN).count_ones()))
}

/// Makes a packet the ICMP error that answers it, of this type and code, with this number in its last four bytes.
#[inline(always)]
fn icmp<P: Packet>(packet: &mut P, headers: &Headers, kind: [u8; 2], number: u32) -> Option<()> {
    let sum = checked(packet, headers)?;
    if headers::is_icmp(headers) && is_error(headers.v6, packet.load(headers.transport)?) {
        return None;
    }
    let kept = kept(headers.protocol, carried(headers))?;
    let sum = checksum::add(sum, transport_sum(packet, headers, kept)?);
    packet.resize(headers.transport.wrapping_add(kept))?;
    let ip_header = ip_header_length(headers);
    packet.make_room(ip_header.wrapping_add(ICMP_HEADER) as i32)?;

    let length = headers.transport.wrapping_sub(headers.ip).wrapping_add(kept).wrapping_add(ICMP_HEADER);
    let (protocol, pseudo) = if headers.v6 {
        let (source, destination) = (&headers.source, &headers.destination);
        (ICMPV6, checksum::pseudo_header(source, destination, true, ICMPV6, length))
    } else {
        (ICMP, 0)
    };
    let [kind, code] = kind;
    let number = number.to_be();
    let first = u32::from_ne_bytes([kind, code, 0, 0]);
    let sum = checksum::add(checksum::add(sum, pseudo), checksum::add(first, number));
    let [high, low] = (!checksum::fold(sum)).to_ne_bytes();
    let first = u32::from_ne_bytes([kind, code, high, low]);
    packet.store(headers.ip.wrapping_add(ip_header), &[first, number], Sum::Changed)?;
    store_ip_header(packet, headers, protocol, length)
}

/// The sum over a packet's IP and extension headers, if it may be answered at all: not a packet that has no single
/// sender or receiver, nor a later fragment, nor one that is corrupt (RFC 1122, 3.2.2; RFC 4443, 2.4).
#[inline(always)]
fn checked<P: Packet>(packet: &P, headers: &Headers) -> Option<u32> {
    let group = headers.ip != 0 && packet.load::<u8>(0)? & 1 != 0;
    if group
        || headers.part as u8 == Part::Later as u8
        || !is_single(&headers.source)
        || !is_single(&headers.destination)
    {
        return None;
    }
    let sum = checksum::sum::<P, MOST_HEADERS>(packet, headers.ip, headers.transport)?;
    (headers.v6 || checksum::fold(sum) == 0xffff).then_some(sum)
}

/// Whether an address can be that of one host on a wire.
#[inline(always)]
pub const fn is_single(address: &Address) -> bool {
    match address.v4_word() {
        Some(word) => {
            let first = u32::from_be(word) >> 24;
            first != 0 && first != 127 && first < 224
        }
        None => {
            let [first, ..] = address.words;
            !address.is_loopback() && u32::from_be(first) >> 24 != 0xff
        }
    }
}

/// Whether ICMP messages of this type are never answered by an error: errors, and redirects.
#[inline(always)]
const fn is_error(v6: bool, kind: u8) -> bool {
    if v6 { kind < 128 || kind == 137 } else { matches!(kind, 3..=5 | 11 | 12) }
}

/// Bytes that follow a packet's IP and extension headers.
#[inline(always)]
const fn carried(headers: &Headers) -> u32 {
    headers.end.wrapping_sub(headers.transport)
}

/// How many of these bytes an ICMP error carries: what its receiver finds the socket by (of an SCTP INIT that is the
/// initiate tag), and a checksum that is yet to be completed.
#[inline(always)]
fn kept(protocol: u8, carried: u32) -> Option<u32> {
    let least = match protocol {
        TCP => TCP_HEADER,
        SCTP => 12,
        UDP => 8,
        _ => 0,
    };
    let kept = (carried & !3).min(MOST_TRANSPORT as u32 * 4);
    (kept >= least).then_some(kept)
}

/// The sum over the first `kept` bytes after a packet's IP and extension headers, as they will be once it was cut
/// after them and their checksum was completed (see [`checksum::is_partial`]).
#[inline(always)]
fn transport_sum<P: Packet>(packet: &mut P, headers: &Headers, kept: u32) -> Option<u32> {
    let at = headers.transport;
    let end = at.wrapping_add(kept);
    let sum = checksum::sum::<P, MOST_TRANSPORT>(packet, at, end)?;
    let field = at.wrapping_add(match headers.protocol {
        TCP => 16,
        UDP => 6,
        SCTP => 8,
        _ => return Some(sum),
    });
    if !checksum::is_partial(packet, field)? {
        return Some(sum);
    }
    if headers.protocol == SCTP {
        // Whoever completes it finds zero there.
        return Some(checksum::add(sum, crc32c::sum::<P, MOST_TRANSPORT>(packet, at, end)?));
    }
    // What is stored is the complement of the sum over them: that leaves the complement of what is there now.
    let seed: u16 = packet.load(field)?;
    Some(u32::from(!seed))
}

#[inline(always)]
const fn ip_header_length(headers: &Headers) -> u32 {
    (if headers.v6 { size_of::<Ipv6>() } else { size_of::<Ipv4>() }) as u32
}

/// Writes the IP header of an answer of `length` bytes.
#[inline(always)]
fn store_ip_header<P: Packet>(packet: &mut P, headers: &Headers, protocol: u8, length: u32) -> Option<()> {
    /// Time to live.
    const HOPS: u8 = 64;
    if headers.v6 {
        let header = Ipv6 {
            version_and_flow: (6_u32 << 28).to_be(),
            payload_length: (length as u16).to_be(),
            next_header: protocol,
            hops: HOPS,
            source: headers.destination.words,
            destination: headers.source.words,
        };
        return packet.store(headers.ip, &header, Sum::Changed);
    }
    let [.., source] = headers.destination.words;
    let [.., destination] = headers.source.words;
    let mut header = Ipv4 {
        version_and_length: 0x45,
        service: 0,
        total_length: (length.wrapping_add(size_of::<Ipv4>() as u32) as u16).to_be(),
        id: 0,
        // Don't fragment.
        fragment: 0x4000_u16.to_be(),
        hops: HOPS,
        protocol,
        checksum: 0,
        source,
        destination,
    };
    let words: [u32; 5] = zerocopy::transmute!(header);
    header.checksum = !checksum::fold(checksum::words(words));
    packet.store(headers.ip, &header, Sum::Changed)
}
