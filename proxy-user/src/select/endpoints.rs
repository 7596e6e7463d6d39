//! Which endpoints a service port balances over.

use crate::{
    cluster::KnownSlice,
    model::{Family, ServicePort},
    table::{Member, Membership},
};
use proxy_common::abi::BackendFlags;

/// The endpoints of a service port in one family, ascending by address and port.
///
/// * Slices join a service port by port name and protocol, never by number; the number that
///   backends listen on is the slice's own.
/// * The cluster set holds the ready endpoints, the local set those of them on this node.
/// * An endpoint that two slices list (normal for a moment while the controller moves it) counts
///   once; it is local if any of them says so.
pub fn select_endpoints<'a>(
    port: &ServicePort,
    family: Family,
    slices: impl Iterator<Item = &'a KnownSlice>,
    members: &mut Vec<Member>,
) {
    members.clear();
    for slice in slices.filter(|slice| slice.family == family) {
        let joined = slice.ports.iter().find(|p| p.protocol == port.protocol && p.name == port.name);
        let Some(number) = joined.map(|p| p.port.to_be()) else { continue };
        members.extend(slice.endpoints.iter().filter(|e| e.conditions.ready).map(|endpoint| Member {
            address: endpoint.address,
            port: number,
            flags: if endpoint.local { BackendFlags::LOCAL } else { BackendFlags::default() },
            sets: Membership { cluster: true, local: endpoint.local },
        }));
    }
    // A stable sort takes each slice as one ascending run.
    members.sort_by_key(Member::key);
    members.dedup_by(|later, kept| {
        let same = later.key() == kept.key();
        if same && later.sets.local {
            *kept = *later;
        }
        same
    });
}
