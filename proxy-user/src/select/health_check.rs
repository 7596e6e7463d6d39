//! What a node answers load balancers that ask whether it has endpoints of a Service.

use super::{cluster_ip, health_check_node_port};
use crate::{
    cluster::{KnownSlice, KnownSlices},
    model::{Family, Service},
};
use smallvec::SmallVec;

/// The health check of one Service on this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealthCheck {
    /// `healthCheckNodePort`, host byte order.
    pub port: u16,
    /// Ready endpoints of this node, in the order of [`Family::BOTH`]; `None` where the family ignores the
    /// Service.
    pub ready: [Option<u32>; 2],
}

impl HealthCheck {
    /// Ready endpoints of this node in one family; `None` where it ignores the Service: nobody answers there.
    #[must_use]
    pub const fn ready(&self, family: Family) -> Option<u32> {
        self.ready[family as usize]
    }
}

/// The health check of a Service; `None` for one that has none, or that no family serves.
///
/// * Endpoints are counted by address: two ports of one pod are one endpoint.
/// * Only ready ones count. One that terminates gets traffic for as long as it serves, and none that a load
///   balancer could still turn elsewhere (KEP-1669).
/// * Each family counts its own, as kube-proxy's two proxiers do, and answers on its own addresses (since
///   kubernetes/kubernetes #137370 also where it listens on all): a pod of two families is one endpoint.
#[must_use]
pub fn select_health_check(service: &Service, slices: KnownSlices<'_>) -> Option<HealthCheck> {
    let port = health_check_node_port(service).filter(|_| !service.ports.is_empty())?;
    let ready = Family::BOTH
        .map(|family| cluster_ip(service, family).map(|_| count_ready_here(service, family, slices)));
    ready.iter().any(Option::is_some).then_some(HealthCheck { port, ready })
}

/// Distinct addresses of ready endpoints of this node that some port of the Service is balanced over.
///
/// Of an endpoint that several slices list, the entry counts that says it is local, then the one that says it
/// is ready: so it is one of these if any entry says both.
fn count_ready_here(service: &Service, family: Family, slices: KnownSlices<'_>) -> u32 {
    let joins = |slice: &KnownSlice| {
        let joins = |name, protocol| service.ports.iter().any(|p| (&p.name, p.protocol) == (name, protocol));
        slice.family == family && slice.ports.iter().any(|port| joins(&port.name, port.protocol))
    };
    let joins: SmallVec<[bool; 16]> = slices.iter().map(joins).collect();
    let (mut count, mut last) = (0, None);
    for listed in slices.endpoints() {
        let endpoint = &listed.endpoint;
        // They ascend by address.
        if endpoint.local
            && endpoint.conditions.ready
            && joins[listed.slice as usize]
            && last != Some(endpoint.address)
        {
            (count, last) = (count + 1, Some(endpoint.address));
        }
    }
    count
}

#[cfg(test)]
#[path = "health_check_tests.rs"]
mod tests;
