//! ICMP errors about a flow are translated with it: the packet that one carries, and its own addresses.

use super::arrive::tuple;
use super::headers::{self, Headers, Part};
use super::{Next, Packet, PacketTables, Sum, Work, checksum, flow, new_flow, rewrite};
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
    if read(packet, work).is_none() {
        return new_flow::without_ports(packet, tables, work);
    }
    work.key = work.tuple.reversed();
    if !tables.flow(&work.key, &mut work.entry) {
        // About a packet that is no Service's.
        return Next::Pass;
    }
    if packet.hook() as u8 != flow::hook(work.entry.flags) as u8 {
        return Next::Pass;
    }
    work.to = work.entry.translated(work.tuple.protocol);
    if work.to.source == work.key.source {
        work.to.source = work.headers.source;
    }
    let (next, hops) = flow::way_on(packet, tables, work);
    let hops = packet.forget(u32::from(hops)) as u8;
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
    let field = work.headers.transport.wrapping_add(2);
    let mut difference = 0;
    // Else what makes this checksum good is the sum that is yet to be completed in the packet it carries, of which
    // nothing else counts (see [`checksum::is_partial`]).
    if !checksum::is_partial(packet, field)? {
        difference = checksum::add(checksum::ports(&work.tuple, &work.key), inner_checksum(packet, work)?);
    }
    difference = packet.forget(difference);
    if work.headers.is_v6(packet) {
        // An IPv4 header sums up to the same, by its checksum.
        difference = checksum::add(difference, checksum::addresses(&work.tuple, &work.key, true));
        let outer =
            Tuple { source: work.headers.source, destination: work.headers.destination, ..work.tuple };
        difference = checksum::add(difference, checksum::addresses(&outer, &work.to, true));
    }
    difference = packet.forget(difference);
    let ports = Ports { source: work.key.source_port, destination: work.key.destination_port };
    packet.store(work.inner.transport, &ports, Sum::Changed)?;
    rewrite::addresses(packet, &work.inner, &work.key, work.inner.hops)?;
    let old: u16 = packet.load(field)?;
    packet.store(field, &checksum::updated(old, difference), Sum::Changed)?;
    rewrite::addresses(packet, &work.headers, &work.to, hops)
}

/// Corrects the transport checksum of the packet that an error carries, if it is there: an error need carry no
/// more than eight bytes after the IP header. Returns what the sum over it grows by.
#[inline(always)]
fn inner_checksum<P: Packet>(packet: &mut P, work: &Work) -> Option<u32> {
    let inner: &Headers = &work.inner;
    let field = inner.transport.wrapping_add(match inner.protocol(packet) {
        TCP => 16,
        UDP => 6,
        // SCTP's cannot be corrected without the rest of its packet.
        _ => return Some(0),
    });
    let end = field.wrapping_add(2);
    if end > inner.end || end > work.headers.end {
        return Some(0);
    }
    let old: u16 = packet.load(field)?;
    if old == 0 && inner.protocol(packet) == UDP {
        return Some(0);
    }
    let difference = checksum::add(
        packet.forget(checksum::addresses(&work.tuple, &work.key, work.headers.is_v6(packet))),
        checksum::ports(&work.tuple, &work.key),
    );
    let mut new = checksum::updated(old, difference);
    // Zero stands for "none".
    if new == 0 && inner.protocol(packet) == UDP {
        new = 0xffff;
    }
    packet.store(field, &new, Sum::Changed)?;
    Some(checksum::changed(u32::from(old), u32::from(new)))
}
