//! SCTP's checksum of a packet whose ports were rewritten. It is a CRC over the whole packet, which a program
//! cannot read; but a CRC is linear, so the change is enough: as a polynomial over GF(2) it enters the CRC
//! multiplied by x^(bits from where the changed bytes begin to the packet's end), modulo P.
//!
//! Written for the verifier: one path of about a thousand instructions, whatever the packet. No bit decides
//! here, not even as a mask: compilers make branches of masks, and newer verifiers walk a sign that was spread
//! over a word as two states (`maybe_fork_scalars`, which stable branches have too). Tables are constants in the
//! code, so that no look-up needs a bound and the object no more read-only data than its globals.
//!
//! In a `u32` that is a polynomial, bit n is the coefficient of x^n.

/// P without its x^32 (RFC 9260, appendix A).
const POLYNOMIAL: u32 = 0x1EDC_6F41;

/// x^64 divided by P, without the quotient's x^32.
const QUOTIENT: u32 = {
    let (mut rest, mut quotient, mut bits) = (POLYNOMIAL, 0, 32);
    while bits > 0 {
        quotient = (quotient << 1) | (rest >> 31);
        rest = times_x(rest);
        bits -= 1;
    }
    quotient
};

/// What stands in the field of a packet whose sum nobody has computed yet.
const NOT_COMPUTED: [u8; 4] = [0; 4];

/// The checksum of an SCTP packet after its source or destination port became another, or both did.
///
/// `checksum` (the old one; the result) is the common header's bytes 8 to 11, and `old` and `new` are its bytes
/// 0 to 3, both ports: all as they stand in the packet. Addresses are no part of the sum: SCTP has no
/// pseudo-header.
///
/// `bytes_after` counts what follows the ports in the SCTP packet: 8 bytes of common header and the chunks, not
/// the padding of an Ethernet frame. So it comes from the IP header, whose lengths have 16 bits; only that many
/// are looked at. Of a packet in fragments the whole counts, of which the first fragment does not know the length:
/// its checksum cannot be brought up to date.
///
/// A checksum of 0 stays 0. Linux leaves the field of what it sends at 0 where the device promises to fill it
/// in (NETIF_F_SCTP_CRC, which every veth has: so packets of pods look), and in the end computes the sum
/// over whatever the field holds then; to write there spoils the packet. And RFC 9653 has a 0 for "not used". One
/// true checksum in 2^32 is 0 as well; that packet's receiver discards it.
#[must_use]
#[inline(always)]
pub fn updated(checksum: [u8; 4], old: [u8; 4], new: [u8; 4], bytes_after: u32) -> [u8; 4] {
    if checksum == NOT_COMPUTED {
        return checksum;
    }
    let difference = u32::from_le_bytes(old) ^ u32::from_le_bytes(new);
    // The lowest bit of a byte is its highest power (RFC 9260, appendix A: "reflected").
    let change = difference.reverse_bits();
    let change = multiply(change, power(const { powers(4, 1) }, bytes_after));
    let change = multiply(change, power(const { powers(0, 16) }, bytes_after >> 4));
    let change = multiply(change, power(const { powers(0, 256) }, bytes_after >> 8));
    let change = multiply(change, power(const { powers(0, 4096) }, bytes_after >> 12));
    (u32::from_le_bytes(checksum) ^ change.reverse_bits()).to_le_bytes()
}

/// x^(8·(offset + step·n)) mod P for n from 0 to 15, cut into nibbles: word i holds bits 4i to 4i + 3 of each,
/// those of n from its bit 4n on. Eight words that a program has as constants.
const fn powers(offset: u32, step: u32) -> [u64; 8] {
    let (base, mut power) = (bytes(step), bytes(offset));
    let (mut n, mut words) = (0, [0; 8]);
    while n < 16 {
        let mut i = 0;
        while i < 8 {
            words[i] |= ((power >> (4 * i)) as u64 & 15) << (4 * n);
            i += 1;
        }
        power = multiply(power, base);
        n += 1;
    }
    words
}

/// x^(8·count) mod P.
const fn bytes(count: u32) -> u32 {
    let (mut power, mut bits) = (1, 8 * count);
    while bits > 0 {
        power = times_x(power);
        bits -= 1;
    }
    power
}

/// The power that the lowest four bits of `n` name.
#[inline(always)]
fn power([a, b, c, d, e, f, g, h]: [u64; 8], n: u32) -> u32 {
    let low = nibble(a, n) | nibble(b, n) << 4 | nibble(c, n) << 8 | nibble(d, n) << 12;
    let high = nibble(e, n) | nibble(f, n) << 4 | nibble(g, n) << 8 | nibble(h, n) << 12;
    low | high << 16
}

/// Nibble `n` of a word, by the lowest four bits of `n`.
#[inline(always)]
fn nibble(word: u64, n: u32) -> u32 {
    (word >> (4 * (n & 15))) as u32 & 15
}

/// a·x mod P; at compile time only, for it decides by a bit.
const fn times_x(a: u32) -> u32 {
    (a << 1) ^ (POLYNOMIAL * (a >> 31))
}

/// a·b mod P, by Barrett's reduction.
#[inline(always)]
const fn multiply(a: u32, b: u32) -> u32 {
    let product = carryless(a, b);
    // How many P are in the product: its high word times x^64 / P. The constant's own x^32 adds that word.
    let high = (product >> 32) as u32;
    let times = high ^ (carryless(high, QUOTIENT) >> 32) as u32;
    product as u32 ^ carryless(times, POLYNOMIAL) as u32
}

/// a·b over GF(2), by a processor that multiplies integers: of every fourth bit, at most eight ones meet in one
/// place, and their carries end in the three places above it, which nobody looks at.
#[inline(always)]
const fn carryless(a: u32, b: u32) -> u64 {
    let [m0, m1, m2, m3] =
        [0x1111_1111_1111_1111, 0x2222_2222_2222_2222, 0x4444_4444_4444_4444, 0x8888_8888_8888_8888];
    let (a, b) = (a as u64, b as u64);
    let [a0, a1, a2, a3] = [a & m0, a & m1, a & m2, a & m3];
    let [b0, b1, b2, b3] = [b & m0, b & m1, b & m2, b & m3];
    let p0 = (a0 * b0) ^ (a1 * b3) ^ (a2 * b2) ^ (a3 * b1);
    let p1 = (a0 * b1) ^ (a1 * b0) ^ (a2 * b3) ^ (a3 * b2);
    let p2 = (a0 * b2) ^ (a1 * b1) ^ (a2 * b0) ^ (a3 * b3);
    let p3 = (a0 * b3) ^ (a1 * b2) ^ (a2 * b1) ^ (a3 * b0);
    (p0 & m0) | (p1 & m1) | (p2 & m2) | (p3 & m3)
}
