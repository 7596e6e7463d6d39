//! Packets of a flow that is known.

use super::{Hook, Next, NextHop, Packet, PacketTables, Work, answer::Answer, arrive, rewrite};
use crate::abi::{BackendFlags, Counter, FlowEntry, FlowFlags, Seen, Tuple, UDP};
use crate::datapath::live;

/// Bytes of a TCP header without options. What travels in segments is TCP as a rule; that of UDP is shorter.
const LEAST_TCP_HEADER: u32 = 20;

/// GSO_BY_FRAGS of linux/skbuff.h: the segments are of different sizes, each as its sender made it. SCTP only.
const BY_FRAGS: u32 = 0xffff;

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

/// Whether a packet follows the entry that was found for it; else the flow begins anew.
///
/// A TCP or SCTP flow keeps its backend to its end, even one that is gone: nothing else could go on with it. A UDP
/// flow moves away from a backend that can no longer serve, with its next packet.
#[inline(always)]
pub fn serves<T: PacketTables>(tables: &T, work: &Work) -> bool {
    let entry = &work.entry;
    if entry.flags.contains(FlowFlags::REPLY) {
        return true;
    }
    if work.tuple.protocol == UDP as u32 {
        return is_live(tables, entry);
    }
    !work.transport.begins || (!entry.is_closed() && is_live(tables, entry))
}

/// Whether the backend of a flow can serve.
#[inline(always)]
fn is_live<T: PacketTables>(tables: &T, entry: &FlowEntry) -> bool {
    live(tables, entry.backend, entry.service, BackendFlags::LIVE).is_some()
}

/// Forgets both entries of a flow; `key` is room for a key.
#[inline(always)]
pub fn forget<T: PacketTables>(tables: &T, tuple: &Tuple, entry: &FlowEntry, key: &mut Tuple) {
    *key = entry.other(tuple.protocol);
    tables.forget_flow(key);
    tables.forget_flow(tuple);
}

/// A packet of a flow whose entry was found.
#[inline(always)]
pub fn follow<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &mut Work) -> Next {
    if work.entry.flags.contains(FlowFlags::KERNELS) {
        keep_port(tables, work);
        return Next::Pass;
    }
    if packet.hook() as u8 != hook(work.entry.flags) as u8 {
        return Next::Pass;
    }
    if work.has_transport {
        if !note(tables, work) {
            tables.forget_flow(&work.tuple);
            work.again = false;
            return Next::Begin;
        }
        arrive::remember_fragments(tables, work);
    }
    let reply = work.entry.flags.contains(FlowFlags::REPLY);
    tables.account(work.entry.service, 0, packet.length().wrapping_sub(work.headers.ip), reply);
    Next::Send
}

/// Notes that a flow of the kernel's goes on, or how it ends.
#[inline(always)]
fn keep_port<T: PacketTables>(tables: &T, work: &Work) {
    let (seen, now) = (work.entry.server.union(work.transport.seen), tables.seconds());
    if work.has_transport && (seen.0 != work.entry.server.0 || now > work.entry.last_seen) {
        tables.touch_flow(&work.tuple, &FlowTouch { reply: true, seen, now });
    }
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
///
/// False if another flow has taken its place, and with it the port: then this one must not go on by it.
#[inline(always)]
fn note<T: PacketTables>(tables: &T, work: &mut Work) -> bool {
    let now = tables.seconds();
    let reply = work.entry.flags.contains(FlowFlags::REPLY);
    let before = if reply { work.entry.server } else { work.entry.client };
    let seen = before.union(work.transport.seen);
    // Another CPU may be ahead by one.
    if seen.0 == before.0 && now <= work.entry.last_seen {
        return true;
    }
    work.key = work.entry.other(work.tuple.protocol);
    if tables.flow(&work.key, &mut work.there) {
        work.other = work.there.other(work.tuple.protocol);
        if work.other != work.tuple {
            return false;
        }
    }
    let touch = FlowTouch { reply, seen, now };
    tables.touch_flow(&work.tuple, &touch);
    if !tables.touch_flow(&work.key, &touch) {
        work.reply = FlowEntry { last_seen: now, ..work.entry.back(&work.tuple) };
        // Should it be there after all, or have no room, the next second tries again.
        let _ = tables.insert_flow(&work.key, &work.reply);
    }
    true
}

/// Translates a packet by its flow's entry.
#[inline(always)]
pub fn send<P: Packet, T: PacketTables>(packet: &mut P, tables: &T, work: &mut Work) -> Next {
    work.to = work.entry.translated(work.tuple.protocol);
    let (next, hops) = way_on(packet, tables, work);
    if matches!(next, Next::Drop | Next::Answer) {
        return next;
    }
    if rewrite::rewrite(packet, work, hops).is_none() {
        tables.count(Counter::PacketUnsupported);
        return Next::Drop;
    }
    next
}

/// What becomes of a packet once its addresses are those of `work.to`, and its time to live then.
#[inline(always)]
pub fn way_on<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &mut Work) -> (Next, u8) {
    let hops = work.headers.hops;
    let flags = work.entry.flags;
    if !flags.contains(FlowFlags::MASQUERADE) {
        return (Next::Pass, hops);
    }
    if flags.contains(FlowFlags::REPLY.union(FlowFlags::NODE)) {
        work.device = work.entry.device;
        return (Next::Inject, hops);
    }
    match packet.next_hop(work.to.source, work.to.destination) {
        NextHop::Device { device, gateway } => {
            work.device = device;
            work.gateway = gateway;
            // The kernel leaves it to the segments to fit.
            let segment = packet.segment();
            if segment != 0 && segment != BY_FRAGS {
                let mtu = mtu(tables, device);
                let headers =
                    work.headers.transport.wrapping_sub(work.headers.ip).wrapping_add(LEAST_TCP_HEADER);
                if mtu != 0 && segment.wrapping_add(headers) > mtu {
                    return (too_big(tables, work, mtu), hops);
                }
            }
        }
        NextHop::TooBig { device } => return (too_big(tables, work, mtu(tables, device)), hops),
        NextHop::Local => return (Next::Pass, hops),
        NextHop::None => {
            tables.count(Counter::PacketNoRoute);
            return (Next::Drop, hops);
        }
    }
    if hops <= 1 {
        tables.count(Counter::PacketTtlExceeded);
        return (Next::Drop, hops);
    }
    (Next::Forward, hops.wrapping_sub(1))
}

/// The MTU of a device in bytes; zero where it is not known.
#[inline(always)]
fn mtu<T: PacketTables>(tables: &T, device: u32) -> u32 {
    tables.device(device).map_or(
        0,
        #[inline(always)]
        |device| device.mtu,
    )
}

/// The sender of a packet is told that it exceeds `mtu`.
#[inline(always)]
fn too_big<T: PacketTables>(tables: &T, work: &mut Work, mtu: u32) -> Next {
    tables.count(Counter::PacketTooBig);
    work.answer = Answer::TooBig(mtu);
    Next::Answer
}
