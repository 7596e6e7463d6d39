//! Which policies a service port has.

use super::FrontendRules;
use crate::{
    model::{Service, ServiceType, TrafficPolicy},
    table::{Member, SourceRange},
};
use proxy_common::abi::ServiceFlags;

/// The policies of a service port as the datapath reads them.
///
/// "Any usable endpoint anywhere" stands beside the sets: it tells a service without endpoints
/// (refused) from one whose endpoints a policy excludes (dropped).
#[must_use]
pub fn select_flags(
    service: &Service,
    rules: FrontendRules,
    members: &[Member],
    source_ranges: &[SourceRange],
) -> ServiceFlags {
    let mut flags = ServiceFlags::default();
    if service.internal_policy == TrafficPolicy::Local {
        flags |= ServiceFlags::INTERNAL_LOCAL;
    }
    if service.external_policy == TrafficPolicy::Local {
        flags |= ServiceFlags::EXTERNAL_LOCAL;
    }
    if !members.is_empty() {
        flags |= ServiceFlags::ANY_USABLE;
    }
    if !source_ranges.is_empty() {
        flags |= ServiceFlags::SOURCE_RANGES;
        if !rules.source_ranges_in_cluster {
            flags |= ServiceFlags::SOURCE_RANGES_OUTSIDE;
        }
    }
    flags
}

/// Where this node answers whether it has endpoints of a service: only load balancers that must know, those of
/// `externalTrafficPolicy: Local`, ask.
#[must_use]
pub fn health_check_node_port(service: &Service) -> Option<u16> {
    let asked = service.kind == ServiceType::LoadBalancer && service.external_policy == TrafficPolicy::Local;
    service.health_check_node_port.filter(|port| asked && *port != 0)
}
