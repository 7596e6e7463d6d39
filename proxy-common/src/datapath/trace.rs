//! Shows what becomes of socket calls to who watches. While nobody does, it costs one look-up in an array.

use super::{Decision, Dial, Tables};
use crate::abi::{BackendRef, Counter, SocketPeer, TraceEvent, TraceHook, TraceOutcome, Tuple};

/// What is known of a decision beside what it means to the call.
#[derive(Clone, Copy)]
pub struct Decided {
    /// Index of the service port, or [`TraceEvent::NO_SERVICE`].
    pub service: u32,
    /// The backend; zero for none.
    pub backend: BackendRef,
    /// What it is counted as.
    pub counter: Counter,
}

/// Shows a decision, if somebody watches.
#[inline(always)]
pub fn show<T: Tables>(tables: &T, hook: TraceHook, dial: &Dial, decision: &Decision, decided: &Decided) {
    if !tables.watched() {
        return;
    }
    let (outcome, to) = match decision {
        Decision::Rewrite(backend) => (TraceOutcome::Forwarded, backend),
        Decision::Refuse => (TraceOutcome::Rejected, &dial.peer),
        Decision::Drop => (TraceOutcome::Dropped, &dial.peer),
        Decision::Pass => (TraceOutcome::Passed, &dial.peer),
    };
    let time = tables.now();
    tables.show(
        #[inline(always)]
        || TraceEvent {
            time,
            before: tuple(&dial.peer, dial.protocol),
            after: tuple(to, dial.protocol),
            backend: decided.backend,
            cookie: dial.cookie,
            service: decided.service,
            device: 0,
            hook: hook as u16,
            outcome: outcome as u16,
            counter: decided.counter as u32,
        },
    );
}

/// The kernel chooses a source after the hook.
#[inline(always)]
fn tuple(to: &SocketPeer, protocol: u8) -> Tuple {
    Tuple {
        source: to.address.unspecified(),
        destination: to.address,
        source_port: 0,
        destination_port: to.port,
        protocol: u32::from(protocol),
    }
}
