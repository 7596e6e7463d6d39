//! What a load balancer finds that asks this node about a Service before it sends connections.

use crate::{
    view::{FrontendKind, decode, health_checks, port_id},
    writer::{MapReader, WriteError},
};
use proxy_common::abi::FrontendValue;

/// A sentence about the health check of the Service behind a frontend that is for clients outside.
pub(super) fn health_check(maps: &impl MapReader, frontend: FrontendValue) -> Result<String, WriteError> {
    let is_inside = FrontendKind::decode(frontend.kind()) == Some(FrontendKind::ClusterIp);
    let port = maps.service(frontend.service).unwrap_or_default().health_check_node_port;
    let Some(id) = port_id(maps, frontend.service).filter(|_| !is_inside && port != 0) else {
        return Ok(String::new());
    };
    let checks = health_checks(&decode(maps)?);
    let check = checks.iter().find(|check| (&check.service, check.family) == (&id.service, id.family));
    Ok(check.map_or_else(String::new, |check| {
        let why = match check.local_endpoints {
            0 => "no endpoint on this node is ready, so load balancers turn elsewhere".to_owned(),
            1 => "1 endpoint on this node is ready".to_owned(),
            count => format!("{count} endpoints on this node are ready"),
        };
        format!(" Health checks on port {port} are answered {}: {why}.", check.status())
    }))
}
