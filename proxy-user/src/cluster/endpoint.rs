//! EndpointSlices in the form that selection reads: small, and sorted.

use super::{
    ServiceId,
    hints::{HintList, HintsId},
};
use crate::model::{Conditions, Endpoint, Family, ObjectName, SlicePort};
use proxy_common::abi::Address;
use std::{mem::take, sync::Arc};

/// An EndpointSlice as the cluster keeps it; its endpoints are among those of its service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownSlice {
    /// Name of the slice itself.
    pub name: ObjectName,
    /// The service that it belongs to.
    pub service: ServiceId,
    /// Its number among the slices of the service, by which endpoints name it.
    pub(super) number: u32,
    /// `addressType`.
    pub family: Family,
    /// Its ports, shared by all slices that have the same.
    pub ports: Arc<[SlicePort]>,
}

/// An endpoint as the cluster keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// What a proxy on node `node` needs of a slice's endpoints, by address. Endpoints of another family than the
/// slice's are left out.
pub(super) fn known_endpoints(
    mut endpoints: Vec<Endpoint>,
    family: Family,
    node: &str,
    mut share: impl FnMut(HintList) -> HintsId,
) -> Vec<KnownEndpoint> {
    let mut known = Vec::with_capacity(endpoints.len());
    // By reference: an endpoint that is moved costs more than all that is done with it here.
    for endpoint in endpoints.iter_mut().filter(|endpoint| Family::of(&endpoint.address) == family) {
        let hints = HintList { zones: take(&mut endpoint.zone_hints), nodes: take(&mut endpoint.node_hints) };
        known.push(KnownEndpoint {
            address: endpoint.address.into(),
            conditions: endpoint.conditions,
            // An endpoint without nodeName is never local.
            local: endpoint.node.as_deref() == Some(node),
            hints: share(hints),
        });
    }
    known.sort_by_key(|endpoint| endpoint.address);
    known
}
