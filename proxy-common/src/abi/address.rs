//! An IP address as every map holds it: 16 bytes, IPv4 in its IPv4-mapped form.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `::ffff:0:0/96` as the third word of an address, in network byte order (RFC 4291, 2.5.5.2).
const MAPPED: u32 = 0x0000_ffff_u32.to_be();

/// An IPv6 address, or an IPv4 address in its IPv4-mapped form `::ffff:a.b.c.d`.
///
/// Four 32-bit words in network byte order, as the kernel's `user_ip6` has them: a program copies
/// words, never single bytes.
///
/// Their order is fit for sorting and no more: the last words count first, because those of one
/// cluster differ there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Address {
    /// The address, most significant word first, each word in network byte order.
    pub words: [u32; 4],
}

const _: () = assert!(size_of::<Address>() == 16);

impl Address {
    /// The same address, taken word by word: LLVM turns a copy between two places that it cannot tell apart into a
    /// call of a loop over bytes.
    #[inline(always)]
    #[must_use]
    pub const fn by_words(&self) -> Self {
        let [a, b, c, d] = self.words;
        Self { words: [a, b, c, d] }
    }

    /// The IPv4-mapped form of an IPv4 address given as the kernel's `user_ip4` has it: one word
    /// in network byte order.
    #[inline(always)]
    #[must_use]
    pub const fn from_v4_word(word: u32) -> Self {
        Self { words: [0, 0, MAPPED, word] }
    }

    /// The IPv4 address as one word in network byte order, if this address is IPv4-mapped.
    #[inline(always)]
    #[must_use]
    pub const fn v4_word(&self) -> Option<u32> {
        if self.words[0] == 0 && self.words[1] == 0 && self.words[2] == MAPPED {
            Some(self.words[3])
        } else {
            None
        }
    }

    /// True for an address that the kernel takes to the caller's own namespace: the loopback addresses, and
    /// the unspecified one, which connect() replaces by them.
    #[inline(always)]
    #[must_use]
    pub const fn is_loopback(&self) -> bool {
        match self.v4_word() {
            Some(word) => u32::from_be(word) >> 24 == 127 || word == 0,
            None => {
                let [a, b, c, d] = self.words;
                a | b | c == 0 && (d == 0 || d == 1_u32.to_be())
            }
        }
    }

    /// The unspecified address of this address's family.
    #[inline(always)]
    #[must_use]
    pub const fn unspecified(&self) -> Self {
        match self.v4_word() {
            Some(_) => Self::from_v4_word(0),
            None => Self { words: [0; 4] },
        }
    }

    /// The address as the standard library writes it; an IPv4-mapped one as IPv4.
    #[must_use]
    pub fn to_ip(self) -> IpAddr {
        match self.v4_word() {
            Some(word) => IpAddr::V4(Ipv4Addr::from(u32::from_be(word))),
            None => {
                let [a, b, c, d] = self.words.map(u32::to_ne_bytes);
                let mut bytes = [0; 16];
                for (chunk, word) in bytes.chunks_exact_mut(4).zip([a, b, c, d]) {
                    chunk.copy_from_slice(&word);
                }
                IpAddr::V6(Ipv6Addr::from(bytes))
            }
        }
    }
}

impl Ord for Address {
    #[inline]
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        let halves =
            |[a, b, c, d]: [u32; 4]| (u64::from(d) << 32 | u64::from(c), u64::from(b) << 32 | u64::from(a));
        halves(self.words).cmp(&halves(other.words))
    }
}

impl PartialOrd for Address {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl From<Ipv4Addr> for Address {
    fn from(ip: Ipv4Addr) -> Self {
        Self::from_v4_word(u32::from(ip).to_be())
    }
}

impl From<Ipv6Addr> for Address {
    fn from(ip: Ipv6Addr) -> Self {
        let [a, b, c, d, e, f, g, h] = ip.segments().map(u32::from);
        Self { words: [a << 16 | b, c << 16 | d, e << 16 | f, g << 16 | h].map(u32::to_be) }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => ip.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_round_trip_and_keep_network_order() {
        for text in ["10.96.0.1", "255.255.255.255", "0.0.0.0", "fd00::1:2", "2001:db8:1:2:3:4:5:6", "::"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(Address::from(ip).to_ip(), ip);
        }
        let bytes = Address::from("2001:db8::9".parse::<Ipv6Addr>().unwrap());
        assert_eq!(bytes.as_bytes(), "2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
    }

    #[test]
    fn what_stays_in_the_callers_own_namespace_is_loopback() {
        let loopback = |text: &str| Address::from(text.parse::<IpAddr>().unwrap()).is_loopback();
        for text in ["127.0.0.1", "127.255.0.9", "0.0.0.0", "::ffff:127.0.0.5", "::1", "::"] {
            assert!(loopback(text), "{text}");
        }
        for text in ["126.0.0.1", "128.0.0.1", "10.0.0.127", "::2", "1::1", "fd00::1"] {
            assert!(!loopback(text), "{text}");
        }
    }

    #[test]
    fn an_ipv4_mapped_address_is_the_ipv4_address() {
        let mapped: Ipv6Addr = "::ffff:10.96.0.1".parse().unwrap();
        assert_eq!(Address::from(mapped), Address::from(Ipv4Addr::new(10, 96, 0, 1)));
    }
}
