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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::ObjectName, table::Membership};
    use ServiceType::{ClusterIp, ExternalName, LoadBalancer, NodePort};
    use TrafficPolicy::{Cluster, Local};
    use proxy_common::abi::{Address, BackendFlags, SourceRule};

    fn service(kind: ServiceType, internal: TrafficPolicy, external: TrafficPolicy) -> Service {
        Service {
            kind,
            internal_policy: internal,
            external_policy: external,
            ..Service::cluster_ip(ObjectName::new("shop", "web"), vec![])
        }
    }

    #[test]
    fn each_policy_has_its_flag_and_an_endpoint_in_no_set_is_one_that_is_usable() {
        let nowhere = Member {
            address: Address::default(),
            port: 0,
            flags: BackendFlags::default(),
            sets: Membership::NONE,
        };
        let table = [
            (Cluster, Cluster, &[][..], 0),
            (Local, Cluster, &[], ServiceFlags::INTERNAL_LOCAL.0),
            (Cluster, Local, &[], ServiceFlags::EXTERNAL_LOCAL.0),
            (Cluster, Cluster, &[nowhere], ServiceFlags::ANY_USABLE.0),
            (Local, Local, &[nowhere], 7),
        ];
        for (internal, external, members, expected) in table {
            let service = service(ClusterIp, internal, external);
            let flags = select_flags(&service, FrontendRules::default(), members, &[]);
            assert_eq!(flags, ServiceFlags(expected), "{internal:?} {external:?} {members:?}");
        }
    }

    #[test]
    fn source_ranges_bind_everyone_or_those_outside_as_an_operator_says() {
        let ranges = [SourceRange::new("10.0.0.0/8".parse().unwrap(), SourceRule::Range)];
        let service = service(LoadBalancer, Cluster, Cluster);
        let flags = |source_ranges_in_cluster, ranges: &[SourceRange]| {
            let rules = FrontendRules { source_ranges_in_cluster, ..FrontendRules::default() };
            select_flags(&service, rules, &[], ranges)
        };
        assert_eq!(flags(true, &ranges), ServiceFlags::SOURCE_RANGES);
        let outside = ServiceFlags::SOURCE_RANGES.0 | ServiceFlags::SOURCE_RANGES_OUTSIDE.0;
        assert_eq!(flags(false, &ranges), ServiceFlags(outside));
        assert_eq!(flags(false, &[]), ServiceFlags::default(), "without ranges nobody is bound");
    }

    #[test]
    fn only_load_balancers_with_external_policy_local_are_health_checked() {
        let table = [
            (LoadBalancer, Local, Some(32_000), Some(32_000)),
            (LoadBalancer, Local, Some(0), None),
            (LoadBalancer, Local, None, None),
            (LoadBalancer, Cluster, Some(32_000), None),
            (NodePort, Local, Some(32_000), None),
            (ClusterIp, Local, Some(32_000), None),
            (ExternalName, Local, Some(32_000), None),
        ];
        for (kind, external, field, expected) in table {
            let service = Service { health_check_node_port: field, ..service(kind, Local, external) };
            assert_eq!(health_check_node_port(&service), expected, "{kind:?} {external:?} {field:?}");
        }
    }
}
