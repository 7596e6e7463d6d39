//! Internet checksums (RFC 1071), by difference (RFC 1624). Sums are taken over 32-bit words as they stand in
//! memory: the one's complement sum does not care for byte order.

use crate::abi::{Address, Tuple};

/// Adds with the carry brought round.
#[inline(always)]
pub const fn add(a: u32, b: u32) -> u32 {
    let sum = a as u64 + b as u64;
    (sum as u32).wrapping_add((sum >> 32) as u32)
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
