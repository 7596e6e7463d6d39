//! Internet checksums (RFC 1071), by difference (RFC 1624). Sums are taken over 32-bit words as they stand in
//! memory: the one's complement sum does not care for byte order.

use super::{Fix, Packet, Sum};
use crate::abi::{Address, Tuple};

/// Adds by halves of 16 bits, which leave room for the carries: LLVM makes a branch of a carry that is brought round,
/// and a verifier walks both.
#[inline(always)]
pub const fn add(a: u32, b: u32) -> u32 {
    (a & 0xffff) + (a >> 16) + (b & 0xffff) + (b >> 16)
}

/// What a sum grows by where `old` becomes `new`.
#[inline(always)]
pub const fn changed(old: u32, new: u32) -> u32 {
    add(!old, new)
}

/// The sum of an address's words. The first three words of an IPv4-mapped address are no part of an IPv4 packet.
#[inline(always)]
fn address(address: &Address, v6: bool) -> u32 {
    let [a, b, c, d] = address.words;
    if v6 { add(add(a, b), add(c, d)) } else { d }
}

/// What the sum of both addresses grows by.
#[inline(always)]
pub fn addresses(from: &Tuple, to: &Tuple, v6: bool) -> u32 {
    add(
        changed(address(&from.source, v6), address(&to.source, v6)),
        changed(address(&from.destination, v6), address(&to.destination, v6)),
    )
}

/// What the sum of both ports grows by.
#[inline(always)]
pub fn ports(from: &Tuple, to: &Tuple) -> u32 {
    add(
        changed(from.source_port as u32, to.source_port as u32),
        changed(from.destination_port as u32, to.destination_port as u32),
    )
}

/// A sum as 16 bits.
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// A checksum after the sum over its data has grown by `difference`.
#[inline(always)]
pub const fn updated(checksum: u16, difference: u32) -> u16 {
    !fold(add((!checksum) as u32, difference))
}

/// The sum of words of a header.
#[inline(always)]
pub fn words<const N: usize>(words: [u32; N]) -> u32 {
    words.into_iter().fold(0, add)
}

/// The sum of the pseudo-header of a transport packet of `length` bytes (RFC 9293, 3.1; RFC 8200, 8.1).
#[inline(always)]
pub fn pseudo_header(source: &Address, destination: &Address, v6: bool, protocol: u8, length: u32) -> u32 {
    let addresses = add(address(source, v6), address(destination, v6));
    add(addresses, add(u32::from(protocol).to_be(), length.to_be()))
}

/// The sum of the packet's 32-bit words from `from` to `to`; `None` if they are more than `MOST`.
#[inline(always)]
pub fn sum<P: Packet, const MOST: usize>(packet: &P, from: u32, to: u32) -> Option<u32> {
    let (mut at, mut sum) = (from, 0);
    for _ in 0..MOST {
        if at >= to {
            break;
        }
        sum = add(sum, packet.load(at)?);
        at = at.wrapping_add(4);
    }
    (at == to).then_some(sum)
}

/// Whether a device has yet to complete the packet's transport checksum (CHECKSUM_PARTIAL), of which two bytes
/// are at `at`. What comes over veth is so as a rule.
///
/// The field then holds the pseudo-header's sum, not complemented; SCTP's holds zero. Whoever completes it sums from
/// the transport header to the packet's end, the field included, and stores the complement (net/core/dev.c,
/// `skb_checksum_help`, `skb_crc32c_csum_help`). Where that begins is an offset into the kernel's buffer: it does not
/// move when bytes are put in or taken away before it. A packet that would be cut before the field's end is not cut
/// at all (net/core/filter.c, `__bpf_skb_min_len`).
///
/// A program cannot read this, but a correction for the payload leaves such a field as it is (net/core/utils.c,
/// `inet_proto_csum_replace_by_diff`) and changes any other.
#[inline(always)]
pub fn is_partial<P: Packet>(packet: &mut P, at: u32) -> Option<bool> {
    let before: u16 = packet.load(at)?;
    packet.fix_checksum(at, 1, Fix::Payload, false)?;
    let after: u16 = packet.load(at)?;
    packet.store(at, &before, Sum::Balanced)?;
    Some(after == before)
}
