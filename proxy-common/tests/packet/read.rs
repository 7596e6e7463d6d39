//! Packets off the wire: parsed by etherparse into [`Datagram`]s, with every length and checksum verified.

use crate::{
    text::{CHUNKS, Datagram, End, MESSAGES},
    wire::{checksum_field, crc32c, pseudo_header},
};
use etherparse::{IpHeaders, LaxIpPayloadSlice, TcpHeader, UdpHeader, checksum::Sum16BitWords};
use std::net::IpAddr;

/// Reads the bytes of an IP packet.
///
/// # Errors
/// A length or a checksum is wrong, also in the packet that an ICMP error carries.
pub fn read(bytes: &[u8]) -> Result<Datagram, String> {
    let (headers, payload, stopped) = IpHeaders::from_slice_lax(bytes).map_err(|error| error.to_string())?;
    ensure(stopped.is_none() && !payload.incomplete, "a header's length")?;
    ensure(length(&headers) == bytes.len(), "the packet's length")?;
    read_ip(&headers, &payload, true)
}

/// The length that an IP header says its packet has.
fn length(headers: &IpHeaders) -> usize {
    match headers {
        IpHeaders::Ipv4(header, _) => header.total_len.into(),
        IpHeaders::Ipv6(header, _) => 40 + usize::from(header.payload_length),
    }
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what} is wrong")) }
}

/// What an ICMP error carries. What is cut off cannot be verified.
fn read_inner(bytes: &[u8]) -> Result<Datagram, String> {
    let (headers, payload, stopped) = IpHeaders::from_slice_lax(bytes).map_err(|error| error.to_string())?;
    let whole = length(&headers) == headers.header_len() + payload.payload.len();
    let read =
        ensure(stopped.is_none(), "a header's length").and_then(|()| read_ip(&headers, &payload, whole));
    read.map_err(|error| format!("{error}, in the packet inside"))
}

fn read_ip(headers: &IpHeaders, payload: &LaxIpPayloadSlice<'_>, whole: bool) -> Result<Datagram, String> {
    let end = |ip: IpAddr| End { ip, port: None };
    let (source, destination, ttl, extras, place) = match headers {
        IpHeaders::Ipv4(header, _) => {
            ensure(header.header_checksum == header.calc_header_checksum(), "the IPv4 header's checksum")?;
            let place = (header.fragment_offset, header.more_fragments, u32::from(header.identification));
            let extras = if header.options.is_empty() { vec![] } else { vec!["options"] };
            (header.source.into(), header.destination.into(), header.time_to_live, extras, Some(place))
        }
        IpHeaders::Ipv6(header, extensions) => {
            let place =
                extensions.fragment.as_ref().map(|f| (f.fragment_offset, f.more_fragments, f.identification));
            let atomic = place.is_some() && !headers.is_fragmenting_payload();
            let extras = [
                ("options", extensions.hop_by_hop_options.is_some()),
                ("destination", extensions.destination_options.is_some()),
                ("routing", extensions.routing.is_some()),
                ("atomic", atomic),
                ("auth", extensions.auth.is_some()),
            ];
            let extras = extras.into_iter().filter_map(|(name, there)| there.then_some(name)).collect();
            (header.source.into(), header.destination.into(), header.hop_limit, extras, place)
        }
    };
    let protocol = payload.ip_number.0;
    let name = match (protocol, source) {
        (6, _) => "tcp".to_owned(),
        (17, _) => "udp".to_owned(),
        (132, _) => "sctp".to_owned(),
        (1, IpAddr::V4(_)) | (58, IpAddr::V6(_)) => "icmp".to_owned(),
        _ => protocol.to_string(),
    };
    let mut packet = Datagram::between(end(source), end(destination), &name);
    (packet.ttl, packet.extras) = (ttl, extras.into_iter().map(str::to_owned).collect());
    let fragmented = headers.is_fragmenting_payload();
    if let Some((offset, _, id)) = place.filter(|_| fragmented) {
        let from = usize::from(offset.value()) * 8;
        packet.fragment = Some((from, from + payload.payload.len()));
        packet.id = id;
        if from > 0 {
            return Ok(packet);
        }
    }
    if checksum_field(protocol).is_some() {
        let [a, b, c, d] = *payload.payload.first_chunk().ok_or("the ports are cut off")?;
        packet.source.port = Some(u16::from_be_bytes([a, b]));
        packet.destination.port = Some(u16::from_be_bytes([c, d]));
    }
    if whole {
        read_transport(&mut packet, protocol, payload.payload, fragmented)?;
    }
    Ok(packet)
}

/// Reads a transport packet that is all there, unless it is the first fragment of one.
fn read_transport(packet: &mut Datagram, protocol: u8, bytes: &[u8], fragmented: bool) -> Result<(), String> {
    let sum = pseudo_header(packet.source.ip, packet.destination.ip, protocol, bytes.len()).add_slice(bytes);
    match packet.protocol.as_str() {
        "tcp" => {
            let (header, data) = TcpHeader::from_slice(bytes).map_err(|error| error.to_string())?;
            let flags = [
                ('S', header.syn),
                ('F', header.fin),
                ('R', header.rst),
                ('P', header.psh),
                ('A', header.ack),
            ];
            packet.what = flags.into_iter().filter_map(|(letter, set)| set.then_some(letter)).collect();
            (packet.seq, packet.ack, packet.data) =
                (header.sequence_number, header.acknowledgment_number, data.len());
            ensure(fragmented || sum.ones_complement() == 0, "the TCP checksum")
        }
        "udp" => {
            let (header, _) = UdpHeader::from_slice(bytes).map_err(|error| error.to_string())?;
            packet.data = usize::from(header.length).checked_sub(8).ok_or("the UDP length is wrong")?;
            if header.checksum == 0 {
                packet.extras.push("nosum".to_owned());
                return Ok(());
            }
            ensure(fragmented || usize::from(header.length) == bytes.len(), "the UDP length")?;
            ensure(fragmented || sum.ones_complement() == 0, "the UDP checksum")
        }
        "sctp" => {
            let [_, tag, sum, chunk]: [[u8; 4]; 4] =
                zerocopy::transmute!(*bytes.first_chunk::<16>().ok_or("an SCTP header is cut off")?);
            packet.seq = u32::from_be_bytes(tag);
            packet.data = bytes.len() - 16;
            packet.what = CHUNKS
                .iter()
                .find(|(_, kind)| *kind == chunk[0])
                .map_or(format!("chunk-{}", chunk[0]), |(name, _)| (*name).to_owned());
            let mut zeroed = bytes.to_vec();
            zeroed[8..12].fill(0);
            ensure(fragmented || crc32c(&zeroed).to_le_bytes() == sum, "the SCTP checksum")
        }
        "icmp" => {
            let sum = if packet.is_v6() { sum } else { Sum16BitWords::new().add_slice(bytes) };
            ensure(fragmented || sum.ones_complement() == 0, "the ICMP checksum")?;
            let [kind, code, _, _, number @ ..] =
                *bytes.first_chunk::<8>().ok_or("an ICMP header is cut off")?;
            let v6 = packet.is_v6();
            let message =
                MESSAGES.iter().find(|(_, v4, other)| [kind, code] == if v6 { *other } else { *v4 });
            packet.what = message.map_or(format!("{kind}/{code}"), |(name, ..)| (*name).to_owned());
            packet.number = u32::from_be_bytes(number);
            if message.is_none() || packet.what.starts_with("echo") {
                packet.data = bytes.len() - 8;
            } else {
                packet.inner = Some(Box::new(read_inner(&bytes[8..])?));
            }
            Ok(())
        }
        _ => {
            packet.data = bytes.len();
            Ok(())
        }
    }
}
