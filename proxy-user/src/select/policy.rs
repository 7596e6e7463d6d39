//! Which policies a service port has.

use crate::{
    model::{Service, TrafficPolicy},
    table::Member,
};
use proxy_common::abi::ServiceFlags;

/// The policies of a service port as the datapath reads them.
///
/// "Any usable endpoint anywhere" stands beside the sets: it tells a service without endpoints
/// (refused) from one whose endpoints a policy excludes (dropped).
#[must_use]
pub fn select_flags(service: &Service, members: &[Member]) -> ServiceFlags {
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
    flags
}
