//! Shows decisions to who watches them.

use super::{Hook, Packet, PacketTables};
use crate::abi::{BackendRef, TraceEvent, TraceHook, TraceOutcome, Tuple};
use crate::datapath::Reason;

/// What is shown of a packet that went to a backend.
#[inline(always)]
pub fn forwarded<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    before: &Tuple,
    after: &Tuple,
    service: u32,
    backend: BackendRef,
) {
    if tables.watched() {
        show(packet, tables, before, after, service, backend, TraceOutcome::Forwarded, 0);
    }
}

/// What is shown of a packet that went nowhere.
#[inline(always)]
pub fn refused<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    before: &Tuple,
    outcome: TraceOutcome,
    reason: Reason,
) {
    if tables.watched() {
        let (service, backend) = (TraceEvent::NO_SERVICE, BackendRef::default());
        show(packet, tables, before, before, service, backend, outcome, reason as u32);
    }
}

#[expect(clippy::too_many_arguments, reason = "inlined: the fields of one record")]
#[inline(always)]
fn show<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    before: &Tuple,
    after: &Tuple,
    service: u32,
    backend: BackendRef,
    outcome: TraceOutcome,
    reason: u32,
) {
    tables.show(&TraceEvent {
        time: tables.now(),
        before: *before,
        after: *after,
        backend,
        cookie: 0,
        service,
        device: packet.device(),
        hook: match packet.hook() {
            Hook::Ingress => TraceHook::Ingress,
            Hook::Egress => TraceHook::Egress,
        } as u16,
        outcome: outcome as u16,
        reason,
    });
}
