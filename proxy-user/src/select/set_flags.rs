//! By which rules the sets of a service port came about, for those who ask why: `shunt explain`.

use super::{ClusterSet, LocalSet, Topology};
use crate::table::Member;
use proxy_common::abi::ServiceFlags;

/// The flags that say so. An empty set has none.
#[must_use]
pub fn set_flags(cluster: ClusterSet, local: LocalSet, members: &[Member]) -> ServiceFlags {
    let mut flags = match cluster {
        _ if members.is_empty() => ServiceFlags::default(),
        ClusterSet::Terminating => ServiceFlags::CLUSTER_TERMINATING,
        ClusterSet::Ready(Topology::SameNode) => ServiceFlags::NODE_HINTS,
        ClusterSet::Ready(Topology::SameZone) => ServiceFlags::ZONE_HINTS,
        ClusterSet::Ready(Topology::Anywhere) => ServiceFlags::default(),
    };
    if local == LocalSet::Terminating && members.iter().any(|member| member.sets.local) {
        flags |= ServiceFlags::LOCAL_TERMINATING;
    }
    flags
}
