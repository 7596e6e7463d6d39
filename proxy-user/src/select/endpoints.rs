//! Which endpoints a service port balances over: the usable ones of all slices, each once, and the sets
//! that each belongs to.

use super::{ClusterSet, LocalSet};
use crate::{
    cluster::{HintLists, Hinted, KnownEndpoint, KnownSlice, KnownSlices, ListedEndpoint},
    model::{Family, ServicePort},
    table::{Member, Membership},
};
use proxy_common::abi::{Address, BackendFlags};
use smallvec::SmallVec;

/// An endpoint that may get traffic: it is ready, or serves while it terminates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsableEndpoint {
    /// Address.
    pub address: Address,
    /// Port, network byte order.
    pub port: u16,
    /// Ready; otherwise it serves while it terminates.
    pub ready: bool,
    /// It runs on this node.
    pub local: bool,
    /// Whether its traffic should come from this node, or from this node's zone.
    pub hinted: Hinted,
}

/// The usable endpoints of a service port in one family with their sets, ascending by address and port.
/// `usable` is room to work in.
///
/// One that policy or topology leaves out is among them, in neither set: flows that it has go on. Says by
/// which rules the sets came about.
pub fn select_endpoints(
    port: &ServicePort,
    family: Family,
    slices: KnownSlices<'_>,
    hints: &HintLists,
    usable: &mut Vec<UsableEndpoint>,
    members: &mut Vec<Member>,
) -> (ClusterSet, LocalSet) {
    join(port, family, slices, hints, usable);
    let cluster = ClusterSet::of(usable);
    let local = LocalSet::of(usable);
    members.clear();
    members.extend(usable.iter().map(|endpoint| Member {
        address: endpoint.address,
        port: endpoint.port,
        flags: if endpoint.local { BackendFlags::LOCAL } else { BackendFlags::default() },
        sets: Membership { cluster: cluster.has(endpoint), local: local.has(endpoint) },
    }));
    (cluster, local)
}

/// Gathers the usable endpoints of all slices, each once.
///
/// * Slices join a service port by port name and protocol, never by number; the number that
///   backends listen on is the slice's own.
/// * An endpoint may stand in two slices, with different conditions, while the controller moves it. The entry
///   that says it is local counts, then the one that says it is ready, then that of the slice with the smaller
///   name: whatever the order of events, the outcome is the same.
fn join(
    port: &ServicePort,
    family: Family,
    slices: KnownSlices<'_>,
    hints: &HintLists,
    usable: &mut Vec<UsableEndpoint>,
) {
    usable.clear();
    // The port that the endpoints of a slice listen on, if it joins.
    let joined = |slice: &KnownSlice| {
        let mut joined = slice.ports.iter().filter(|p| p.protocol == port.protocol && p.name == port.name);
        joined.next().filter(|_| slice.family == family).map(|p| p.port.to_be())
    };
    let numbers: SmallVec<[Option<u16>; 16]> = slices.iter().map(joined).collect();
    let numbers = numbers.as_slice();
    let listed = slices.endpoints().iter().filter(|listed| is_usable(&listed.endpoint));
    usable.extend(listed.filter_map(|ListedEndpoint { endpoint, slice }| {
        Some(UsableEndpoint {
            port: numbers[*slice as usize]?,
            address: endpoint.address,
            ready: endpoint.conditions.ready,
            local: endpoint.local,
            hinted: hints.get(endpoint.hints),
        })
    }));
    let mut different = numbers.iter().flatten();
    let first = different.next();
    if different.any(|number| Some(number) != first) {
        // Endpoints come by address alone. Stable, for the order of slices.
        usable.sort_by_key(|endpoint| (endpoint.address, endpoint.port));
    }
    usable.dedup_by(|later, kept| {
        let same = (later.address, later.port) == (kept.address, kept.port);
        if same && (later.local, later.ready) > (kept.local, kept.ready) {
            *kept = *later;
        }
        same
    });
}

/// A terminating endpoint that does not serve is never used, nor is one that is neither ready nor
/// terminating.
const fn is_usable(endpoint: &KnownEndpoint) -> bool {
    let conditions = endpoint.conditions;
    conditions.ready || (conditions.serving && conditions.terminating)
}

#[cfg(test)]
#[path = "endpoints_tests.rs"]
mod tests;
