//! The first stage: what a packet is, and whether its flow is known.

use super::headers::{self, Headers, Part};
use super::{Next, Packet, PacketTables, Unknown, Work, flow, new_flow};
use crate::abi::{Counter, DeviceFlags, FragmentKey, Ports, Tuple, UDP};
use crate::datapath::is_cluster_ip;

/// Reads a packet and looks up its flow.
#[inline(always)]
pub fn arrive<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &mut Work) -> Next {
    let Some(device) = tables.device(packet.device()) else { return Next::Pass };
    work.headerless = device.flags.contains(DeviceFlags::HEADERLESS);
    if !packet.is_for_device() {
        return Next::Pass;
    }
    if headers::read(packet, device.flags, &mut work.headers).is_none() {
        return Next::Pass;
    }
    if !headers::has_ports(work.headers.protocol) {
        return if headers::is_icmp(&work.headers) {
            Next::Error
        } else {
            new_flow::without_ports(packet, tables, work)
        };
    }
    work.has_transport = work.headers.part as u8 != Part::Later as u8;
    let ports = if work.has_transport {
        let Some(transport) = headers::transport(packet, &work.headers) else { return Next::Pass };
        work.transport = transport;
        transport.ports
    } else {
        // It follows the first fragment of its datagram.
        let Some(ports) = tables.fragment(&datagram(&work.headers)) else { return stray(tables, work) };
        ports
    };
    work.tuple = tuple(&work.headers, ports);
    work.again = tables.flow(&work.tuple, &mut work.entry);
    if work.again && (!work.has_transport || flow::serves(tables, work)) {
        let next = flow::follow(packet, tables, work);
        if !next.is(Next::Begin) {
            return next;
        }
    }
    if work.has_transport { begin(tables, work) } else { stray(tables, work) }
}

/// Who decides about a packet of no flow that goes on.
#[inline(always)]
fn begin<T: PacketTables>(tables: &T, work: &mut Work) -> Next {
    match tables.unknown() {
        Unknown::Nothing => Next::Begin,
        Unknown::Flows if work.transport.begins || work.tuple.protocol == UDP as u32 => Next::Begin,
        Unknown::Flows => Next::Before,
        Unknown::All => {
            // What begins there, from the same port, may go elsewhere than what has ended here.
            if work.again {
                flow::forget(tables, &work.tuple, &work.entry, &mut work.key);
            }
            Next::Before
        }
    }
}

/// What becomes of a fragment whose first one was not seen, or whose flow is not known any more. One to a ClusterIP
/// would be routed on, and come back; its datagram is lost either way.
#[inline(always)]
fn stray<T: PacketTables>(tables: &T, work: &Work) -> Next {
    if tables.unknown() as u8 != Unknown::Nothing as u8 {
        return Next::Before;
    }
    if !is_cluster_ip(tables, &work.headers.destination) {
        return Next::Pass;
    }
    tables.count(Counter::FragmentUnknown);
    Next::Drop
}

/// The tuple of a packet.
#[inline(always)]
pub fn tuple(headers: &Headers, ports: Ports) -> Tuple {
    Tuple {
        source: headers.source.by_words(),
        destination: headers.destination.by_words(),
        source_port: ports.source,
        destination_port: ports.destination,
        protocol: u32::from(headers.protocol),
    }
}

/// Key of a packet's datagram in FRAGMENTS.
#[inline(always)]
fn datagram(headers: &Headers) -> FragmentKey {
    FragmentKey {
        source: headers.source.by_words(),
        destination: headers.destination.by_words(),
        id: headers.id,
        protocol: u32::from(headers.protocol),
    }
}

/// Lets the later fragments of a packet's datagram follow it.
#[inline(always)]
pub fn remember_fragments<T: PacketTables>(tables: &T, work: &Work) {
    if work.headers.part as u8 == Part::First as u8 {
        tables.remember_fragment(&datagram(&work.headers), work.transport.ports);
    }
}

/// Lets the later fragments of a packet's datagram follow no former datagram, which had the same identification.
#[inline(always)]
pub fn replace_fragments<T: PacketTables>(tables: &T, work: &Work) {
    if work.headers.part as u8 == Part::First as u8 && tables.fragment(&datagram(&work.headers)).is_some() {
        tables.remember_fragment(&datagram(&work.headers), work.transport.ports);
    }
}
