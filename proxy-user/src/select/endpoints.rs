//! Which endpoints a service port balances over: the usable ones of all slices, each once, and the sets
//! that each belongs to.

use super::{ClusterSet, LocalSet};
use crate::{
    cluster::{HintLists, HintsId, KnownEndpoint, KnownSlice},
    model::{Family, ServicePort},
    table::{Member, Membership},
};
use proxy_common::abi::{Address, BackendFlags};
use std::cmp::Ordering;

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
    /// Where its traffic should come from.
    pub hints: HintsId,
}

/// The usable endpoints of a service port in one family with their sets, ascending by address and port.
/// `usable` is room to work in.
///
/// One that policy or topology leaves out is among them, in neither set: flows that it has go on. Says by
/// which rules the sets came about.
pub fn select_endpoints<'a>(
    port: &ServicePort,
    family: Family,
    slices: impl Iterator<Item = &'a KnownSlice>,
    hints: &HintLists,
    usable: &mut Vec<UsableEndpoint>,
    members: &mut Vec<Member>,
) -> (ClusterSet, LocalSet) {
    join(port, family, slices, usable);
    let cluster = ClusterSet::of(usable, hints);
    let local = LocalSet::of(usable);
    members.clear();
    members.extend(usable.iter().map(|endpoint| Member {
        address: endpoint.address,
        port: endpoint.port,
        flags: if endpoint.local { BackendFlags::LOCAL } else { BackendFlags::default() },
        sets: Membership { cluster: cluster.has(endpoint, hints), local: local.has(endpoint) },
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
fn join<'a>(
    port: &ServicePort,
    family: Family,
    slices: impl Iterator<Item = &'a KnownSlice>,
    usable: &mut Vec<UsableEndpoint>,
) {
    usable.clear();
    for slice in slices.filter(|slice| slice.family == family) {
        let joined = slice.ports.iter().find(|p| p.protocol == port.protocol && p.name == port.name);
        let Some(number) = joined.map(|p| p.port.to_be()) else { continue };
        usable.extend(slice.endpoints.iter().filter(|endpoint| is_usable(endpoint)).map(|endpoint| {
            UsableEndpoint {
                address: endpoint.address,
                port: number,
                ready: endpoint.conditions.ready,
                local: endpoint.local,
                hints: endpoint.hints,
            }
        }));
    }
    // A stable sort takes each slice as one ascending run, and keeps the order of slices among equals.
    usable.sort_by(|a, b| match (a.address, a.port).cmp(&(b.address, b.port)) {
        Ordering::Equal => (b.local, b.ready).cmp(&(a.local, a.ready)),
        order => order,
    });
    usable.dedup_by_key(|endpoint| (endpoint.address, endpoint.port));
}

/// A terminating endpoint that does not serve is never used, nor is one that is neither ready nor
/// terminating.
const fn is_usable(endpoint: &KnownEndpoint) -> bool {
    let conditions = endpoint.conditions;
    conditions.ready || (conditions.serving && conditions.terminating)
}
