//! Shows decisions to who watches them.

use super::{Hook, Packet, PacketTables, Work};
use crate::abi::{Counter, FlowEntry, TraceEvent, TraceHook, TraceOutcome, Tuple};

/// What is shown of a packet that went to a backend.
#[inline(always)]
pub fn forwarded<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &Work, counter: Counter) {
    show(packet, tables, &work.tuple, &work.entry, TraceOutcome::Forwarded, counter);
}

/// What is shown of a packet that went nowhere; of one that named no service port so far,
/// [`TraceEvent::NO_SERVICE`].
#[inline(always)]
pub fn refused<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    work: &mut Work,
    service: u32,
    outcome: TraceOutcome,
    counter: Counter,
) {
    work.entry = FlowEntry {
        source: work.tuple.source,
        destination: work.tuple.destination,
        source_port: work.tuple.source_port,
        destination_port: work.tuple.destination_port,
        service,
        ..FlowEntry::default()
    };
    show(packet, tables, &work.tuple, &work.entry, outcome, counter);
}

/// Shows a decision, if somebody watches.
#[inline(always)]
fn show<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    before: &Tuple,
    entry: &FlowEntry,
    outcome: TraceOutcome,
    counter: Counter,
) {
    if !tables.watched() {
        return;
    }
    let time = tables.now();
    let device = packet.device();
    let hook = match packet.hook() {
        Hook::Ingress => TraceHook::Ingress,
        Hook::Egress => TraceHook::Egress,
    } as u16;
    tables.show(
        #[inline(always)]
        || TraceEvent {
            time,
            before: *before,
            after: entry.translated(before.protocol),
            backend: entry.backend,
            cookie: 0,
            service: entry.service,
            device,
            hook,
            outcome: outcome as u16,
            counter: counter as u32,
        },
    );
}
