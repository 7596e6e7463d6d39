//! A source port for what the node sends in a client's place.

use super::{InsertError, Packet, PacketTables, Work, flow, hash};
use crate::abi::{FlowEntry, PacketSettings, SCTP, Tuple};
use crate::datapath::has_node_port;

/// How many ports are looked at, and how many of them are tried, before a flow is dropped. With half of the ports
/// towards a backend in use one flow in four thousand million finds none.
const LOOKS: u32 = 16;
const TRIES: u32 = 2;

/// Finds a source port for `work.to`, and writes the entry of the answers, `work.reply`, under it. Returns the port,
/// network byte order.
///
/// The ports are looked at in an order that the flow's hash decides, and one that leads to the same flow already is
/// its port: so a flow whose entry was lost, or that two CPUs begin at once, finds the same port again.
#[inline(always)]
pub fn claim<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    work: &mut Work,
) -> Result<u16, InsertError> {
    let settings = tables.settings();
    if settings.ports == 0 {
        return Err(InsertError::Exists);
    }
    let mut draw = hash::of(&work.tuple);
    work.key = work.to.reversed();
    for _ in 0..TRIES {
        if !look(tables, work, settings, &mut draw) || is_taken(packet, tables, &work.key) {
            continue;
        }
        match write_reply(tables, work) {
            Ok(()) => return Ok(work.key.destination_port),
            Err(InsertError::Full) => return Err(InsertError::Full),
            Err(InsertError::Exists) => {}
        }
    }
    Err(InsertError::Exists)
}

/// Moves `work.key` on to the next port that no other flow has, or failing that to the first one of a flow that is over:
/// the backend may remember it (TIME_WAIT) and let its next client wait. False if all that are looked at are in use.
#[inline(always)]
fn look<T: PacketTables>(tables: &T, work: &mut Work, settings: PacketSettings, draw: &mut u32) -> bool {
    let mut over = 0;
    for _ in 0..LOOKS {
        *draw = hash::finish(draw.wrapping_add(0x9e37_79b9));
        // The high word of a 32x32-bit product is uniform over the ports without a division.
        let chosen = ((u64::from(*draw) * u64::from(settings.ports)) >> 32) as u16;
        work.key.destination_port = settings.first_port.wrapping_add(chosen).to_be();
        if !tables.flow(&work.key, &mut work.there) || leads_to(&work.there, &work.reply) {
            return true;
        }
        if over == 0 && is_over(&work.there, work.reply.last_seen, work.tuple.protocol) {
            over = work.key.destination_port;
        }
    }
    work.key.destination_port = over;
    over != 0
}

/// Writes the entry of the answers under `work.key`, unless that of another flow stands there which is not over. It
/// may be there already: written by another CPU, or left of an entry of which only the other one was lost.
#[inline(always)]
pub fn write_reply<T: PacketTables>(tables: &T, work: &mut Work) -> Result<(), InsertError> {
    match tables.insert_flow(&work.key, &work.reply) {
        Err(InsertError::Exists) => {}
        written => return written,
    }
    if !tables.flow(&work.key, &mut work.there) {
        return Err(InsertError::Exists);
    }
    if leads_to(&work.there, &work.reply) {
        return Ok(());
    }
    if !is_over(&work.there, work.reply.last_seen, work.tuple.protocol) {
        return Err(InsertError::Exists);
    }
    flow::forget(tables, &work.key, &work.there, &mut work.other);
    tables.insert_flow(&work.key, &work.reply)
}

/// Whether an entry of answers is that of the same flow.
#[inline(always)]
pub fn leads_to(there: &FlowEntry, reply: &FlowEntry) -> bool {
    there.source == reply.source
        && there.destination == reply.destination
        && there.source_port == reply.source_port
        && there.destination_port == reply.destination_port
        && there.backend == reply.backend
}

/// Whether a flow is over, so that its port may be used again. One that has ended in good order is given the time
/// that its last packets may take.
#[inline(always)]
pub fn is_over(entry: &FlowEntry, now: u32, protocol: u32) -> bool {
    let idle = now.saturating_sub(entry.last_seen);
    idle > entry.idle_timeout(protocol) || (entry.is_closed() && idle > 2)
}

/// Whether answers to a port would be somebody else's: a socket's of the node, or a NodePort's.
#[inline(always)]
fn is_taken<P: Packet, T: PacketTables>(packet: &P, tables: &T, key: &Tuple) -> bool {
    (key.protocol != SCTP as u32 && packet.has_socket(key))
        || has_node_port(tables, &key.destination, key.destination_port, key.protocol as u8)
}
