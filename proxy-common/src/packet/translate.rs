//! What becomes of a packet.

use super::headers::{self, Headers, Part, Transport};
use super::{Action, Packet, PacketTables, error, flow, new_flow};
use crate::abi::{DeviceEntry, FragmentKey, Ports, Tuple};
use crate::datapath::is_cluster_ip;

/// Translates a packet of a Service's flow, begins one, or refuses it; leaves everything else alone.
#[inline(always)]
pub fn translate<P: Packet, T: PacketTables>(packet: &mut P, tables: &T) -> Action {
    let Some(device) = tables.device(packet.device()) else { return Action::Pass };
    let Some(headers) = headers::read(packet, &device) else { return Action::Pass };
    if headers::has_ports(headers.protocol) {
        return match headers.part {
            Part::Later(id) => fragment(packet, tables, &headers, id),
            _ => match headers::transport(packet, &headers) {
                Some(transport) => segment(packet, tables, &device, &headers, &transport),
                None => Action::Pass,
            },
        };
    }
    if headers::is_icmp(&headers)
        && let Some(action) = error::translate(packet, tables, &headers)
    {
        return action;
    }
    // Nothing but its service ports is to be reached at a ClusterIP: a ping that left by the default route
    // would come back, and leave again.
    if is_cluster_ip(tables, &headers.destination) {
        return new_flow::refuse_unknown(packet, tables, &headers);
    }
    Action::Pass
}

/// The tuple of a packet.
#[inline(always)]
fn tuple(headers: &Headers, ports: Ports) -> Tuple {
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
    device: &DeviceEntry,
    headers: &Headers,
    transport: &Transport,
) -> Action {
    let tuple = tuple(headers, transport.ports);
    let mut again = false;
    if let Some(entry) = tables.flow(&tuple) {
        if flow::serves(tables, &tuple, &entry, transport) {
            return flow::follow(packet, tables, headers, Some(transport), &tuple, &entry);
        }
        flow::forget(tables, &tuple, &entry);
        again = true;
    }
    new_flow::begin(packet, tables, device, headers, transport, &tuple, again)
}

/// A fragment without a transport header: it follows the first one of its datagram.
#[inline(always)]
fn fragment<P: Packet, T: PacketTables>(packet: &mut P, tables: &T, headers: &Headers, id: u32) -> Action {
    let Some(ports) = tables.fragment(&key(headers, id)) else {
        return Action::Pass;
    };
    let tuple = tuple(headers, ports);
    match tables.flow(&tuple) {
        Some(entry) => flow::follow(packet, tables, headers, None, &tuple, &entry),
        None => Action::Pass,
    }
}

/// Key of a packet's datagram in FRAGMENTS.
#[inline(always)]
fn key(headers: &Headers, id: u32) -> FragmentKey {
    FragmentKey {
        source: headers.source,
        destination: headers.destination,
        id,
        protocol: u32::from(headers.protocol),
    }
}

/// Lets the later fragments of a packet's datagram follow it.
#[inline(always)]
pub fn remember_fragments<T: PacketTables>(tables: &T, headers: &Headers, tuple: &Tuple) {
    if let Part::First(id) = headers.part {
        let ports = Ports { source: tuple.source_port, destination: tuple.destination_port };
        tables.remember_fragment(&key(headers, id), ports);
    }
}
