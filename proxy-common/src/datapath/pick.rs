//! Picking one endpoint of a set: the one that the client's session affinity names, or any.

use super::{Client, Route, Tables, tables::SECOND};
use crate::abi::{AffinityEntry, AffinityKey, BackendEntry, BackendFlags, BackendRef, Counter};

/// Picks a backend for a new flow; `None` where an index leads outside of a map, which is a bug.
///
/// With session affinity it is that of the client's last flow, if that began less than the timeout ago and the
/// backend is in the set in use; and each new flow starts the timeout again. Two first flows of one client at
/// the same moment may pick two backends; the later one is kept.
#[inline(always)]
pub fn pick_backend<T: Tables, C: Client>(
    tables: &T,
    client: &C,
    route: &Route,
) -> Option<(BackendRef, BackendEntry)> {
    let seconds = route.service.affinity_seconds;
    if seconds == 0 {
        return pick_any(tables, client, route);
    }
    let key = AffinityKey { client: client.affinity(), service: route.frontend.service };
    let now = tables.now();
    let kept = match tables.affinity(&key) {
        Some(entry) if now.saturating_sub(entry.last_flow) <= u64::from(seconds) * SECOND => {
            live(tables, entry.backend, route.frontend.service, route.member).map(
                #[inline(always)]
                |backend| (entry.backend, backend),
            )
        }
        _ => None,
    };
    let (counter, picked) = match kept {
        Some(kept) => (Counter::AffinityKept, kept),
        None => (Counter::AffinityNew, pick_any(tables, client, route)?),
    };
    // Without room the client loses its affinity, and nothing else.
    let _ = tables.remember_affinity(&key, &AffinityEntry { backend: picked.0, last_flow: now });
    tables.count(counter);
    Some(picked)
}

/// Uniformly over the set.
#[inline(always)]
fn pick_any<T: Tables, C: Client>(
    tables: &T,
    client: &C,
    route: &Route,
) -> Option<(BackendRef, BackendEntry)> {
    // The high word of a 32x32-bit product is uniform over 0..count without a division.
    let chosen = ((u64::from(client.draw(tables)) * u64::from(route.set.count())) >> 32) as u32;
    let slot = tables.slot(route.set.base().wrapping_add(chosen))?;
    let backend = tables.backend(slot.index())?;
    Some((slot, backend))
}

/// The backend of a memory, unless its index was freed since or it lacks one of `flags`. An index is given
/// a new address only after its generation has changed and every program that could have seen the old one
/// has ended.
///
/// An LRU map may give an element to another key between the look-up and the load of its value:
/// then the memory is another client's, and as a rule of another service port.
#[inline(always)]
pub fn live<T: Tables>(
    tables: &T,
    remembered: BackendRef,
    service: u32,
    flags: BackendFlags,
) -> Option<BackendEntry> {
    let backend = tables.backend(remembered.index())?;
    let same = backend.generation == remembered.generation() && backend.service == service;
    (same && backend.flags.contains(flags)).then_some(backend)
}
