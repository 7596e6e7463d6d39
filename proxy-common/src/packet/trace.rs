//! Shows decisions to who watches them.

use super::{Hook, Packet, PacketTables, Work};
use crate::abi::{BackendRef, Counter, TraceEvent, TraceHook, TraceOutcome};

/// What is shown of a packet that went to a backend.
#[inline(always)]
pub fn forwarded<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &Work, counter: Counter) {
    let (service, backend) = (work.entry.service, work.entry.backend);
    show(packet, tables, work, TraceOutcome::Forwarded, service, backend, counter);
}

/// What is shown of a packet that went nowhere; of one that named no service port so far,
/// [`TraceEvent::NO_SERVICE`].
#[inline(always)]
pub fn refused<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    work: &Work,
    service: u32,
    outcome: TraceOutcome,
    counter: Counter,
) {
    show(packet, tables, work, outcome, service, BackendRef::default(), counter);
}

/// Shows a decision, if somebody watches.
#[inline(always)]
fn show<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    work: &Work,
    outcome: TraceOutcome,
    service: u32,
    backend: BackendRef,
    counter: Counter,
) {
    if !tables.watched() {
        return;
    }
    let (time, cookie) = (tables.now(), u64::from(tables.zero()));
    let device = packet.device();
    let hook = match packet.hook() {
        Hook::Ingress => TraceHook::Ingress,
        Hook::Egress => TraceHook::Egress,
    } as u16;
    let forwarded = outcome as u16 == TraceOutcome::Forwarded as u16;
    tables.show(
        #[inline(always)]
        || TraceEvent {
            time,
            before: work.tuple,
            after: if forwarded { work.entry.translated(work.tuple.protocol) } else { work.tuple },
            backend,
            cookie,
            service,
            device,
            hook,
            outcome: outcome as u16,
            counter: counter as u32,
        },
    );
}
