//! Frames made by hand.

use shunt::lab::{Mac, lan::Frames};
use std::net::IpAddr;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// An Ethernet frame with an IP packet: `protocol` and `payload` are what follows the fixed header, which has 64 hops
/// to live. `ihl` adds as many words of options (no operation) to an IPv4 header; `fragment` is its fragment field.
pub struct Packet<'a> {
    pub from: IpAddr,
    pub to: IpAddr,
    pub protocol: u8,
    pub options: u8,
    pub fragment: u16,
    pub payload: &'a [u8],
}

impl Packet<'_> {
    /// The frame, with this time to live.
    pub fn frame(&self, source: Mac, destination: Mac, hops: u8) -> Vec<u8> {
        let mut frame = [&destination[..], &source].concat();
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let length = 20 + 4 * u16::from(self.options) + self.payload.len() as u16;
                let mut header = vec![0x45 + self.options, 0x10];
                header.extend(length.to_be_bytes());
                header.extend([0x12, 0x34]);
                header.extend(self.fragment.to_be_bytes());
                header.extend([hops, self.protocol, 0, 0]);
                header.extend([from.octets(), to.octets()].concat());
                header.extend(vec![1; 4 * usize::from(self.options)]);
                let sum = checksum(&header);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                frame.extend([8, 0]);
                frame.extend(header);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                frame.extend([0x86, 0xdd, 0x61, 0x02, 0x03, 0x04]);
                frame.extend((self.payload.len() as u16).to_be_bytes());
                frame.extend([self.protocol, hops]);
                frame.extend([from.octets(), to.octets()].concat());
            }
            families => panic!("{families:?}"),
        }
        frame.extend(self.payload);
        frame
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// The address of a host whose frames a test makes, of the family of another one.
pub fn ip_like(host: &Frames, other: IpAddr) -> IpAddr {
    if other.is_ipv4() { host.ipv4().into() } else { host.ipv6().into() }
}

/// Whether a frame carries a packet from one address to another.
pub fn is_from_to(frame: &[u8], from: IpAddr, to: IpAddr) -> bool {
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (ETHERNET + 12, [from.octets(), to.octets()].concat()),
        (IpAddr::V6(from), IpAddr::V6(to)) => (ETHERNET + 8, [from.octets(), to.octets()].concat()),
        _ => return false,
    };
    let (at, wanted) = addresses;
    frame.get(at..at + wanted.len()) == Some(&wanted)
}
