//! Packets of a flow that is known.

use super::headers::{Headers, Transport};
use super::{Action, Hook, NextHop, Packet, PacketTables, answer, rewrite, translate};
use crate::abi::{BackendFlags, Counter, FlowEntry, FlowFlags, Seen, Tuple, UDP};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// What a packet adds to its flow's entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowTouch {
    /// The packet answers the client.
    pub reply: bool,
    /// All that its side has sent so far.
    pub seen: Seen,
    /// Seconds of CLOCK_MONOTONIC.
    pub now: u32,
}

/// Seconds of CLOCK_MONOTONIC.
#[inline(always)]
pub fn seconds<T: PacketTables>(tables: &T) -> u32 {
    (tables.now() / SECOND) as u32
}

/// Whether a packet follows the entry that was found for it; else the flow begins anew.
///
/// A TCP or SCTP flow keeps its backend to its end, even one that is gone: nothing else could go on with it. A UDP
/// flow moves away from a backend that can no longer serve, with its next packet.
#[inline(always)]
pub fn serves<T: PacketTables>(tables: &T, tuple: &Tuple, entry: &FlowEntry, transport: &Transport) -> bool {
    if entry.flags.contains(FlowFlags::REPLY) {
        return true;
    }
    if tuple.protocol == UDP as u32 {
        return is_live(tables, entry);
    }
    !transport.begins || (!entry.is_closed() && is_live(tables, entry))
}

/// Whether the backend of a flow can serve.
#[inline(always)]
fn is_live<T: PacketTables>(tables: &T, entry: &FlowEntry) -> bool {
    tables.backend(entry.backend.index()).is_some_and(
        #[inline(always)]
        |backend| {
            backend.generation == entry.backend.generation()
                && backend.service == entry.service
                && backend.flags.contains(BackendFlags::LIVE)
        },
    )
}

/// Forgets both entries of a flow.
#[inline(always)]
pub fn forget<T: PacketTables>(tables: &T, tuple: &Tuple, entry: &FlowEntry) {
    tables.forget_flow(&entry.other(tuple.protocol));
    tables.forget_flow(tuple);
}

/// Translates a packet by its flow's entry and sends it on. A later fragment has no transport header.
#[inline(always)]
pub fn follow<P: Packet, T: PacketTables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
    transport: Option<&Transport>,
    tuple: &Tuple,
    entry: &FlowEntry,
) -> Action {
    if packet.hook() as u8 != hook(entry.flags) as u8 {
        return Action::Pass;
    }
    if let Some(transport) = transport {
        note(tables, tuple, entry, transport.seen);
        translate::remember_fragments(tables, headers, tuple);
    }
    let reply = entry.flags.contains(FlowFlags::REPLY);
    tables.account(entry.service, 0, packet.length().wrapping_sub(headers.ip), reply);
    send_on(packet, tables, headers, transport.is_some(), tuple, entry)
}

/// Where packets of an entry with these flags are translated.
#[inline(always)]
pub fn hook(flags: FlowFlags) -> Hook {
    let egress = if flags.contains(FlowFlags::REPLY) {
        !flags.contains(FlowFlags::MASQUERADE)
    } else {
        flags.contains(FlowFlags::EGRESS)
    };
    if egress { Hook::Egress } else { Hook::Ingress }
}

/// Notes in both entries what a packet adds, at most once a second unless it changes something. So both are in
/// use for as long as either is, and if one was evicted it comes back.
#[inline(always)]
fn note<T: PacketTables>(tables: &T, tuple: &Tuple, entry: &FlowEntry, seen: Seen) {
    let now = seconds(tables);
    let reply = entry.flags.contains(FlowFlags::REPLY);
    let before = if reply { entry.server } else { entry.client };
    let seen = before.union(seen);
    if seen.0 == before.0 && now == entry.last_seen {
        return;
    }
    let touch = FlowTouch { reply, seen, now };
    tables.touch_flow(tuple, &touch);
    let other = entry.other(tuple.protocol);
    if !tables.touch_flow(&other, &touch) {
        let mut back = *entry;
        back.source = tuple.destination;
        back.destination = tuple.source;
        back.source_port = tuple.destination_port;
        back.destination_port = tuple.source_port;
        back.flags = FlowFlags(entry.flags.0 ^ FlowFlags::REPLY.0);
        back.last_seen = now;
        // Should it be there after all, or have no room, the next second tries again.
        let _ = tables.insert_flow(&other, &back);
    }
}

/// Rewrites a packet and says where it goes.
#[inline(always)]
pub fn send_on<P: Packet, T: PacketTables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
    has_transport: bool,
    tuple: &Tuple,
    entry: &FlowEntry,
) -> Action {
    let to = entry.translated(tuple.protocol);
    let mut action = Action::Pass;
    let mut hops = headers.hops;
    if entry.flags.contains(FlowFlags::MASQUERADE) {
        if entry.flags.contains(FlowFlags::REPLY.union(FlowFlags::NODE)) {
            action = Action::Inject { device: entry.device };
        } else {
            match packet.next_hop(to.source, to.destination) {
                NextHop::Device { device, gateway } => action = Action::Forward { device, gateway },
                NextHop::TooBig { device } => {
                    tables.count(Counter::PacketTooBig);
                    let mtu = tables.device(device).map_or(0, |device| device.mtu);
                    return answer::too_big(packet, headers, mtu);
                }
                NextHop::Local => {}
                NextHop::None => {
                    tables.count(Counter::PacketNoRoute);
                    return Action::Drop;
                }
            }
            if hops <= 1 {
                tables.count(Counter::PacketTtlExceeded);
                return Action::Drop;
            }
            hops = hops.wrapping_sub(1);
        }
    }
    if rewrite::rewrite(packet, headers, has_transport, tuple, &to, hops).is_none() {
        tables.count(Counter::PacketUnsupported);
        return Action::Drop;
    }
    action
}
