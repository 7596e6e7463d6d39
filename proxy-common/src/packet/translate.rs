//! What becomes of a packet.

use super::headers::{self, Headers, Part};
use super::{Action, Packet, PacketTables, Work, error, flow, new_flow};
use crate::abi::{DeviceFlags, FragmentKey, Ports, Tuple};
use crate::datapath::is_cluster_ip;

/// Translates a packet of a Service's flow, begins one, or refuses it; leaves everything else alone.
#[inline(always)]
pub fn translate<P: Packet, T: PacketTables>(packet: &mut P, tables: &T, work: &mut Work) -> Action {
    let Some(device) = tables.device(packet.device()) else { return Action::Pass };
    if headers::read(packet, device.flags, &mut work.headers).is_none() {
        return Action::Pass;
    }
    if headers::has_ports(work.headers.protocol) {
        if work.headers.part as u8 == Part::Later as u8 {
            return fragment(packet, tables, work);
        }
        return match headers::transport(packet, &work.headers) {
            Some(transport) => {
                work.transport = transport;
                segment(packet, tables, device.flags, work)
            }
            None => Action::Pass,
        };
    }
    if headers::is_icmp(&work.headers)
        && let Some(action) = error::translate(packet, tables, work)
    {
        return action;
    }
    // Nothing but its service ports is to be reached at a ClusterIP: a ping that left by the default route
    // would come back, and leave again.
    if is_cluster_ip(tables, &work.headers.destination) {
        return new_flow::refuse_unknown(packet, tables, work);
    }
    Action::Pass
}

/// Fills in the tuple of a packet.
#[inline(always)]
pub fn tuple(headers: &Headers, ports: Ports) -> Tuple {
    Tuple {
        source: headers.source,
        destination: headers.destination,
        source_port: ports.source,
        destination_port: ports.destination,
        protocol: u32::from(headers.protocol),
    }
}

/// A packet with a transport header.
#[inline(always)]
fn segment<P: Packet, T: PacketTables>(
    packet: &mut P,
    tables: &T,
    device: DeviceFlags,
    work: &mut Work,
) -> Action {
    work.tuple = tuple(&work.headers, work.transport.ports);
    let known = tables.flow(&work.tuple, &mut work.entry);
    if known {
        if flow::serves(tables, work) {
            return flow::follow(packet, tables, work, true);
        }
        flow::forget(tables, &work.tuple, &work.entry, &mut work.key);
    }
    new_flow::begin(packet, tables, device, work, known)
}

/// A fragment without a transport header: it follows the first one of its datagram.
#[inline(always)]
fn fragment<P: Packet, T: PacketTables>(packet: &mut P, tables: &T, work: &mut Work) -> Action {
    let Some(ports) = tables.fragment(&datagram(&work.headers)) else { return Action::Pass };
    work.tuple = tuple(&work.headers, ports);
    if tables.flow(&work.tuple, &mut work.entry) {
        flow::follow(packet, tables, work, false)
    } else {
        Action::Pass
    }
}

/// Key of a packet's datagram in FRAGMENTS.
#[inline(always)]
fn datagram(headers: &Headers) -> FragmentKey {
    FragmentKey {
        source: headers.source,
        destination: headers.destination,
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
