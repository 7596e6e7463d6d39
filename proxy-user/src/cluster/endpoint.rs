//! EndpointSlices in the form that selection reads: small, and sorted.

use super::ServiceId;
use crate::model::{Conditions, Endpoint, EndpointSlice, Family, ObjectName, SlicePort};
use proxy_common::abi::Address;
use smol_str::SmolStr;

/// An EndpointSlice as the cluster keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownSlice {
    /// Name of the slice itself.
    pub name: ObjectName,
    /// The service that it belongs to.
    pub service: ServiceId,
    /// `addressType`.
    pub family: Family,
    /// Its ports.
    pub ports: Vec<SlicePort>,
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
    /// Where its traffic should come from; absent without hints.
    pub hints: Option<Box<Hints>>,
}

/// Topology hints of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hints {
    /// `hints.forZones[].name`.
    pub zones: Vec<SmolStr>,
    /// `hints.forNodes[].name`.
    pub nodes: Vec<SmolStr>,
}

impl KnownSlice {
    /// Keeps what a proxy on node `node` needs. Endpoints of the other family are left out.
    pub(super) fn new(slice: EndpointSlice, service: ServiceId, node: &str) -> Self {
        let family = slice.family;
        let mut endpoints: Vec<_> = slice
            .endpoints
            .into_iter()
            .filter(|endpoint| Family::of(&endpoint.address) == family)
            .map(|endpoint| KnownEndpoint::new(endpoint, node))
            .collect();
        // Selection merges sorted runs; a slice without order changes nothing else.
        endpoints.sort_by_key(|endpoint| endpoint.address);
        Self { name: slice.name, service, family, ports: slice.ports, endpoints }
    }
}

impl KnownEndpoint {
    fn new(endpoint: Endpoint, node: &str) -> Self {
        let Endpoint { address, conditions, node: on, zone_hints, node_hints } = endpoint;
        let hinted = !zone_hints.is_empty() || !node_hints.is_empty();
        Self {
            address: address.into(),
            conditions,
            // An endpoint without nodeName is never local.
            local: on.is_some_and(|on| on == node),
            hints: hinted.then(|| Box::new(Hints { zones: zone_hints, nodes: node_hints })),
        }
    }
}
