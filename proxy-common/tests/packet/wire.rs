//! Packets on the wire, built by etherparse from [`Datagram`]s.

use crate::text::{CHUNKS, Datagram, MESSAGES};
use crc::{CRC_32_ISCSI, Crc};
use etherparse::{
    IpAuthHeader, IpFragOffset, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions,
    Ipv6FragmentHeader, Ipv6Header, Ipv6RawExtHeader, Ipv6RoutingExtensions, TcpHeader, UdpHeader,
    checksum::Sum16BitWords,
};
use std::net::IpAddr;

const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

pub fn protocol_number(packet: &Datagram) -> u8 {
    match (packet.protocol.as_str(), packet.is_v6()) {
        ("tcp", _) => 6,
        ("udp", _) => 17,
        ("sctp", _) => 132,
        ("icmp", false) => 1,
        ("icmp", true) => 58,
        (number, _) => number.parse().unwrap(),
    }
}

/// Where a protocol's checksum stands in its header, if it has one that a device may be left to complete.
pub fn checksum_field(protocol: u8) -> Option<usize> {
    match protocol {
        6 => Some(16),
        17 => Some(6),
        132 => Some(8),
        _ => None,
    }
}

/// The pseudo-header's sum.
pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Sum16BitWords {
    let mut sum = Sum16BitWords::new();
    for ip in [source, destination] {
        sum = match ip {
            IpAddr::V4(ip) => sum.add_4bytes(ip.octets()),
            IpAddr::V6(ip) => sum.add_16bytes(ip.octets()),
        };
    }
    sum.add_4bytes((length as u32).to_be_bytes()).add_2bytes([0, protocol])
}

pub fn crc32c(bytes: &[u8]) -> u32 {
    CRC32C.checksum(bytes)
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + 1) as u8).collect()
}

/// The bytes of an IP packet.
pub fn bytes(packet: &Datagram) -> Vec<u8> {
    let mut body = transport(packet);
    let more = packet.fragment.is_some_and(|(_, to)| to < body.len());
    if let Some((from, to)) = packet.fragment {
        body = body[from..to].to_vec();
    }
    let mut headers = ip(packet, more);
    headers.set_next_headers(IpNumber(protocol_number(packet)));
    headers.set_payload_len(body.len()).unwrap();
    if let IpHeaders::Ipv4(header, _) = &mut headers {
        header.header_checksum = header.calc_header_checksum();
    }
    let mut bytes = Vec::new();
    headers.write(&mut bytes).unwrap();
    bytes.extend(body);
    bytes
}

fn ip(packet: &Datagram, more: bool) -> IpHeaders {
    let offset = IpFragOffset::try_new(packet.fragment.map_or(0, |(from, _)| from as u16 / 8)).unwrap();
    let next = IpNumber(0);
    let options = || Ipv6RawExtHeader::new_raw(next, &[1, 4, 0, 0, 0, 0]).unwrap();
    match (packet.source.ip, packet.destination.ip) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header =
                Ipv4Header::new(0, packet.ttl, next, source.octets(), destination.octets()).unwrap();
            header.dont_fragment = packet.fragment.is_none();
            (header.more_fragments, header.fragment_offset) = (more, offset);
            header.identification = packet.id as u16;
            if packet.has("options") {
                // Router alert, and no operation.
                header.options = [148, 4, 0, 0, 1, 1, 1, 0].into();
            }
            IpHeaders::Ipv4(header, Ipv4Extensions::default())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                hop_limit: packet.ttl,
                source: source.octets(),
                destination: destination.octets(),
                ..Ipv6Header::default()
            };
            let fragment = (packet.fragment.is_some() || packet.has("atomic"))
                .then(|| Ipv6FragmentHeader::new(next, offset, more, packet.id));
            let routing = |left| Ipv6RoutingExtensions {
                routing: Ipv6RawExtHeader::new_raw(next, &[4, left, 0, 0, 0, 0]).unwrap(),
                final_destination_options: None,
            };
            let extensions = Ipv6Extensions {
                hop_by_hop_options: packet.has("options").then(options),
                destination_options: packet.has("destination").then(options),
                routing: if packet.has("left") {
                    Some(routing(1))
                } else {
                    packet.has("routing").then(|| routing(0))
                },
                fragment,
                auth: packet.has("auth").then(|| IpAuthHeader::new(next, 5, 6, &[0; 12]).unwrap()),
            };
            IpHeaders::Ipv6(header, extensions)
        }
        _ => panic!("{packet} has two families"),
    }
}

/// The transport header and what follows it, of the whole datagram.
fn transport(packet: &Datagram) -> Vec<u8> {
    let (source, destination) = (packet.source.port.unwrap_or(0), packet.destination.port.unwrap_or(0));
    let data = payload(packet.data);
    let mut bytes = Vec::new();
    match packet.protocol.as_str() {
        "tcp" => {
            let mut header = TcpHeader::new(source, destination, packet.seq, 1024);
            header.acknowledgment_number = packet.ack;
            let flag = |letter| packet.what.contains(letter);
            (header.syn, header.ack, header.fin) = (flag('S'), flag('A'), flag('F'));
            (header.rst, header.psh) = (flag('R'), flag('P'));
            header.write(&mut bytes).unwrap();
        }
        "udp" => {
            let length = (8 + data.len()) as u16;
            UdpHeader { source_port: source, destination_port: destination, length, checksum: 0 }
                .write(&mut bytes)
                .unwrap();
        }
        "sctp" => {
            let (_, chunk) = CHUNKS.iter().find(|(name, _)| *name == packet.what).unwrap();
            bytes.extend([source.to_be_bytes(), destination.to_be_bytes()].concat());
            bytes.extend(packet.seq.to_be_bytes());
            bytes.extend([0, 0, 0, 0, *chunk, 0]);
            bytes.extend((4 + data.len() as u16).to_be_bytes());
        }
        "icmp" => {
            let (_, v4, v6) = MESSAGES.iter().find(|(name, ..)| *name == packet.what).unwrap();
            bytes.extend(if packet.is_v6() { v6 } else { v4 });
            bytes.extend([0, 0]);
            bytes.extend(packet.number.to_be_bytes());
        }
        _ => {}
    }
    bytes.extend(data);
    if let Some(inner) = &packet.inner {
        let mut inner = self::bytes(inner);
        inner.truncate(packet.cut.unwrap_or(inner.len()));
        bytes.extend(inner);
    }
    let protocol = protocol_number(packet);
    let sum = pseudo_header(packet.source.ip, packet.destination.ip, protocol, bytes.len()).add_slice(&bytes);
    match packet.protocol.as_str() {
        "tcp" => bytes[16..18].copy_from_slice(&sum.ones_complement().to_ne_bytes()),
        "udp" if packet.has("nosum") => {}
        "udp" => bytes[6..8].copy_from_slice(&sum.to_ones_complement_with_no_zero().to_ne_bytes()),
        "sctp" => {
            let crc = crc32c(&bytes);
            bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        }
        "icmp" => {
            let sum = if packet.is_v6() { sum } else { Sum16BitWords::new().add_slice(&bytes) };
            bytes[2..4].copy_from_slice(&sum.ones_complement().to_ne_bytes());
        }
        _ => {}
    }
    bytes
}
