//! EndpointSlices in the form that selection reads: small, and sorted.

use super::{
    ServiceId,
    hints::{HintList, HintsId},
};
use crate::model::{Conditions, Endpoint, Family, ObjectName, SlicePort};
use proxy_common::abi::Address;
use std::sync::Arc;

/// An EndpointSlice as the cluster keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownSlice {
    /// Name of the slice itself.
    pub name: ObjectName,
    /// The service that it belongs to.
    pub service: ServiceId,
    /// `addressType`.
    pub family: Family,
    /// Its ports, shared by all slices that have the same.
    pub ports: Arc<[SlicePort]>,
    /// Its endpoints, by address.
    pub endpoints: Vec<KnownEndpoint>,
}

/// An endpoint as the cluster keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownEndpoint {
    /// Its address.
    pub address: Address,
    /// Its conditions.
    pub conditions: Conditions,
    /// It runs on this node.
    pub local: bool,
    /// Where its traffic should come from.
    pub hints: HintsId,
}

/// What a proxy on node `node` needs of a slice's endpoints, by address, in the memory they came in.
/// Endpoints of another family than the slice's are left out.
pub(super) fn known_endpoints(
    endpoints: Vec<Endpoint>,
    family: Family,
    node: &str,
    mut hints: impl FnMut(HintList) -> HintsId,
) -> Vec<KnownEndpoint> {
    let of_family = endpoints.into_iter().filter(|endpoint| Family::of(&endpoint.address) == family);
    let known = of_family.map(|endpoint| {
        let Endpoint { address, conditions, node: on, zone_hints, node_hints } = endpoint;
        KnownEndpoint {
            address: address.into(),
            conditions,
            // An endpoint without nodeName is never local.
            local: on.is_some_and(|on| on == node),
            hints: hints(HintList { zones: zone_hints, nodes: node_hints }),
        }
    });
    let mut known: Vec<_> = known.collect();
    // Selection merges sorted runs; a slice without order changes nothing else.
    known.sort_by_key(|endpoint| endpoint.address);
    known
}
