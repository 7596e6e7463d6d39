//! ICMP errors about a flow are translated with it: the packet that one carries, and its own addresses.

use super::arrive::tuple;
use super::headers::{self, Part};
use super::{Fix, Next, Packet, PacketTables, Sum, Unknown, Work, checksum, flow, new_flow, rewrite};
use crate::abi::{Counter, Ports, TCP, Tuple, UDP};

/// Translates an ICMP error about a packet of a flow. Any other message is none of ours.
///
/// ```text
///           the error's destination   the packet in it
/// before    A                         A -> B             FLOWS has an entry for B -> A: X -> Y
/// after     Y                         Y -> X
/// ```
/// Its source stays that of the router which made it, unless the entry replaces the source of what comes from there,
/// as nf_nat_icmp_reply_translation does: a client knows no route to what is behind a frontend.
#[inline(always)]
pub fn translate<P: Packet, T: PacketTables>(packet: &mut P, tables: &T, work: &mut Work) -> Next {
    let about_flow = read(packet, work).is_some() && {
        work.key = work.tuple.reversed();
        tables.flow(&work.key, &mut work.entry)
    };
    if !about_flow {
        if tables.unknown() as u8 != Unknown::Nothing as u8 {
            return Next::Before;
        }
        return new_flow::without_ports(packet, tables, work);
    }
    if packet.hook() as u8 != flow::hook(work.entry.flags) as u8 {
        return Next::Pass;
    }
    work.to = work.entry.translated(work.tuple.protocol);
    if work.to.source == work.key.source {
        work.to.source = work.headers.source;
    }
    let (next, hops) = flow::way_on(packet, tables, work);
    if matches!(next, Next::Drop | Next::Answer) {
        // No error is ever answered by one.
        return Next::Drop;
    }
    if rewrite_both(packet, work, hops).is_none() {
        tables.count(Counter::PacketUnsupported);
        return Next::Drop;
    }
    tables.count(Counter::ErrorTranslated);
    next
}

/// Reads the packet that an error carries: its headers into `work.inner`, its tuple into `work.tuple`.
#[inline(always)]
fn read<P: Packet>(packet: &P, work: &mut Work) -> Option<()> {
    let v6 = work.headers.v6;
    if work.headers.part as u8 != Part::Whole as u8 || !is_error(v6, packet.load(work.headers.transport)?) {
        return None;
    }
    let at = work.headers.transport.wrapping_add(8);
    if v6 {
        headers::ipv6(packet, at, &mut work.inner)?;
    } else {
        headers::ipv4(packet, at, &mut work.inner)?;
    }
    // A later fragment has no ports. And who sent the packet is who hears of it: an error that goes to somebody
    // else is forged (nf_conntrack_inet_error checks this too).
    if !headers::has_ports(work.inner.protocol)
        || work.inner.part as u8 == Part::Later as u8
        || work.inner.source != work.headers.destination
    {
        return None;
    }
    work.tuple = tuple(&work.inner, packet.load(work.inner.transport)?);
    Some(())
}

/// The errors that are about one packet: unreachable, too big, time exceeded, parameter problem. Not redirects,
/// which are about a neighbour.
#[inline(always)]
const fn is_error(v6: bool, kind: u8) -> bool {
    if v6 { matches!(kind, 1..=4) } else { matches!(kind, 3 | 4 | 11 | 12) }
}

/// Rewrites the packet that an error carries, and then the error: its checksum is over both.
#[inline(always)]
fn rewrite_both<P: Packet>(packet: &mut P, work: &mut Work, hops: u8) -> Option<()> {
    // `key` is no more needed: now it is the packet's new tuple.
    work.key = work.entry.other(work.tuple.protocol);
    let difference = inner_transport(packet, work)?;
    let mut difference = packet.forget(difference);
    if work.headers.is_v6(packet) {
        // An IPv4 header sums up to the same, by its checksum, and is no part of another one.
        difference = checksum::add(difference, checksum::addresses(&work.tuple, &work.key, true));
        let outer =
            Tuple { source: work.headers.source, destination: work.headers.destination, ..work.tuple };
        difference = checksum::add(difference, checksum::addresses(&outer, &work.to, true));
    }
    rewrite::addresses(packet, &work.inner, &work.key, work.inner.hops)?;
    let field = work.headers.transport.wrapping_add(2);
    let old: u16 = packet.load(field)?;
    packet.store(field, &checksum::updated(old, difference), Sum::Changed)?;
    rewrite::addresses(packet, &work.headers, &work.to, hops)
}

/// Rewrites the ports of the packet that an error carries, and its checksum if it is there. Returns what the sum over
/// both grows by.
#[inline(always)]
fn inner_transport<P: Packet>(packet: &mut P, work: &Work) -> Option<u32> {
    let at = work.inner.transport;
    let ports = Ports { source: work.key.source_port, destination: work.key.destination_port };
    let growth = checksum::ports(&work.tuple, &work.key);
    let Some(field) = inner_checksum(packet, work) else {
        packet.store(at, &ports, Sum::Changed)?;
        return Some(growth);
    };
    let udp = work.inner.protocol(packet) == UDP;
    let addresses = packet.forget(checksum::addresses(&work.tuple, &work.key, work.headers.is_v6(packet)));
    packet.fix_checksum(field, addresses, Fix::PseudoHeader, udp)?;
    packet.fix_checksum(field, growth, Fix::Payload, udp)?;
    packet.store(at, &ports, Sum::Balanced)?;
    // The sum over a transport packet is that of its pseudo-header, complemented: also where this is yet to be
    // completed (see [`checksum::is_partial`]), as around a packet that another node's Shunt has refused.
    Some(!addresses)
}

/// Where the packet that an error carries has its transport checksum, if it has one and is not cut off before: an
/// error need carry no more than eight bytes after the IP header. SCTP's cannot be corrected without all of its packet.
#[inline(always)]
fn inner_checksum<P: Packet>(packet: &P, work: &Work) -> Option<u32> {
    let inner = &work.inner;
    let field = inner.transport.wrapping_add(match inner.protocol(packet) {
        TCP => 16,
        UDP => 6,
        _ => return None,
    });
    if field.wrapping_add(2) > work.headers.end {
        return None;
    }
    let there = packet.load::<u16>(field)? != 0 || inner.protocol != UDP;
    there.then_some(field)
}
