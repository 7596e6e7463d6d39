//! From a dialled address to a backend: one hash look-up and three array reads.

use super::Tables;
use crate::abi::{
    Address, BackendEntry, BackendRef, FrontendFlags, FrontendKey4, FrontendKey6, FrontendValue, Scope,
    ServiceFlags, SocketPeer,
};

/// What an address, port and protocol is to the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Nothing of ours: leave it alone.
    NotAService,
    /// A ClusterIP, but no service port of it.
    UnknownPort,
    /// A frontend of this service port.
    Frontend(FrontendValue),
}

/// Why no backend was picked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The set that the policy allows is empty.
    NoEndpoint,
    /// An index led outside of a map: a bug.
    Inconsistent,
}

/// Looks up the frontend that `peer` and `protocol` name; an IPv4-mapped address is an IPv4 one.
///
/// The exact entry comes first. Only where it is missing, a second look-up tells a ClusterIP that
/// serves other ports (refused, as kube-proxy's nftables mode does) from a foreign address.
#[inline(always)]
pub fn find_frontend<T: Tables>(tables: &T, peer: &SocketPeer, protocol: u8) -> Lookup {
    if let Some(frontend) = look_up(tables, peer.address, peer.port, protocol, Scope::Exact) {
        return Lookup::Frontend(frontend);
    }
    match look_up(tables, peer.address, 0, 0, Scope::Address) {
        Some(value) if value.kind().contains(FrontendFlags::ADDRESS_ONLY) => Lookup::UnknownPort,
        _ => Lookup::NotAService,
    }
}

/// Looks up one key in the map of the address's family.
#[inline(always)]
fn look_up<T: Tables>(
    tables: &T,
    address: Address,
    port: u16,
    protocol: u8,
    scope: Scope,
) -> Option<FrontendValue> {
    let scope = scope as u8;
    if let Some(address) = address.v4_word() {
        let key = FrontendKey4 { address, port, protocol, scope };
        twice(
            key.check(),
            #[inline(always)]
            || tables.frontend4(&key),
        )
    } else {
        let key = FrontendKey6 { address: address.words, port, protocol, scope };
        twice(
            key.check(),
            #[inline(always)]
            || tables.frontend6(&key),
        )
    }
}

/// Looks up again if the value found belongs to another key: its element was given away between the
/// look-up and the load (see [`FrontendValue`]). The second look-up finds the key where it is now.
#[inline(always)]
fn twice(check: u32, look_up: impl Fn() -> Option<FrontendValue>) -> Option<FrontendValue> {
    let found = look_up()?;
    if found.is_of(check) { Some(found) } else { look_up().filter(|found| found.is_of(check)) }
}

/// Picks a backend for a new flow, uniformly at random among the set that the policy allows.
///
/// A ClusterIP obeys `internalTrafficPolicy`. Every other frontend dialled on this node reaches
/// the cluster set: `internalTrafficPolicy` never applies to it, and `externalTrafficPolicy: Local`
/// short-circuits to the cluster set for traffic from pods and from the node itself.
#[inline(always)]
pub fn pick_backend<T: Tables>(
    tables: &T,
    frontend: FrontendValue,
) -> Result<(BackendRef, BackendEntry), Refusal> {
    let service = frontend.service;
    let flags = tables.service_flags(service).ok_or(Refusal::Inconsistent)?;
    let local =
        flags.contains(ServiceFlags::INTERNAL_LOCAL) && frontend.kind().contains(FrontendFlags::CLUSTER_IP);
    let set = if local { tables.local_set(service) } else { tables.cluster_set(service) };
    let set = set.ok_or(Refusal::Inconsistent)?;
    if set.count() == 0 {
        return Err(Refusal::NoEndpoint);
    }
    // The high word of a 32x32-bit product is uniform over 0..count without a division.
    let chosen = ((u64::from(tables.random()) * u64::from(set.count())) >> 32) as u32;
    let slot = tables.slot(set.base().wrapping_add(chosen)).ok_or(Refusal::Inconsistent)?;
    let backend = tables.backend(slot.index()).ok_or(Refusal::Inconsistent)?;
    Ok((slot, backend))
}
