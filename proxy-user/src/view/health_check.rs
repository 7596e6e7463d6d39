//! Health checks of load balancers, as the maps have them.

use super::PortView;
use crate::model::{Family, ObjectName};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

/// What a load balancer is answered in one family that asks this node about a Service. (By a healthy agent:
/// any other answers 503.)
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HealthCheckView {
    /// The Service.
    pub service: ObjectName,
    /// The family in which it is asked.
    pub family: Family,
    /// `healthCheckNodePort`.
    pub port: u16,
    /// Ready endpoints of this node, each address once.
    pub local_endpoints: usize,
}

impl HealthCheckView {
    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        if self.local_endpoints > 0 { 200 } else { 503 }
    }
}

/// The health checks of decoded service ports, by Service and family.
#[must_use]
pub fn health_checks(ports: &[PortView]) -> Vec<HealthCheckView> {
    let mut found = BTreeMap::<_, BTreeSet<IpAddr>>::new();
    for port in ports {
        let (Some(id), Some(number)) = (&port.id, port.health_check_node_port) else { continue };
        let addresses = found.entry((&id.service, id.family, number)).or_default();
        // A local set holds endpoints that are ready, or none of them is.
        if !port.local_terminating {
            addresses.extend(port.local.iter().map(SocketAddr::ip));
        }
    }
    let view = |((service, family, port), addresses): ((&ObjectName, _, _), BTreeSet<_>)| HealthCheckView {
        service: service.clone(),
        family,
        port,
        local_endpoints: addresses.len(),
    };
    found.into_iter().map(view).collect()
}
