//! Ethernet frames that carry TCP over IPv4, for programs that are run on them.

use proxy_common::abi::{TCP, Tuple};
use std::net::Ipv4Addr;

/// TCP flags.
pub const SYN: u8 = 0x02;
/// As above.
pub const ACK: u8 = 0x10;

/// Bytes of the headers, without options, and of what a frame carries.
const ETHERNET: usize = 14;
const IPV4: usize = 20;
const HEADER: usize = 20;
const PAYLOAD: usize = 64;

/// A frame to a device with this hardware address. Its time to live lasts for 254 routers. The TCP checksum is left
/// zero: no program looks at more than what changes in it.
#[must_use]
pub fn tcp(to: [u8; 6], tuple: &Tuple, flags: u8) -> Vec<u8> {
    let mut frame = vec![0; ETHERNET + IPV4 + HEADER + PAYLOAD];
    let (ethernet, packet) = frame.split_at_mut(ETHERNET);
    ethernet[..6].copy_from_slice(&to);
    ethernet[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    ethernet[12..].copy_from_slice(&[8, 0]);
    let (ip, tcp) = packet.split_at_mut(IPV4);
    let length = (IPV4 + HEADER + PAYLOAD) as u16;
    ip[..4].copy_from_slice(&[0x45, 0, (length >> 8) as u8, length as u8]);
    (ip[8], ip[9]) = (255, TCP);
    for (at, address) in [(12, &tuple.source), (16, &tuple.destination)] {
        let [.., word] = address.words;
        ip[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    let checksum = checksum(ip);
    ip[10..12].copy_from_slice(&checksum);
    tcp[..2].copy_from_slice(&tuple.source_port.to_ne_bytes());
    tcp[2..4].copy_from_slice(&tuple.destination_port.to_ne_bytes());
    (tcp[12], tcp[13]) = ((HEADER as u8 / 4) << 4, flags);
    frame
}

/// The tuple of a TCP packet.
#[must_use]
pub fn tuple(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16)) -> Tuple {
    Tuple {
        source: std::net::IpAddr::V4(source.0).into(),
        destination: std::net::IpAddr::V4(destination.0).into(),
        source_port: source.1.to_be(),
        destination_port: destination.1.to_be(),
        protocol: u32::from(TCP),
    }
}

/// The Internet checksum of a header whose own is zero.
fn checksum(header: &[u8]) -> [u8; 2] {
    let (words, _) = header.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    (!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The usual example of a header and its checksum.
    #[test]
    fn a_known_checksum() {
        let header =
            [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];
        assert_eq!(checksum(&header), [0xb8, 0x61]);
    }
}
