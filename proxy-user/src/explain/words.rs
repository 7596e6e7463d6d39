//! Names and lists as reasons write them.

use crate::{
    view::{FrontendKind, port_id},
    writer::MapReader,
};
use proxy_common::datapath::Origin;

/// `namespace/name:port` of a service port, or `namespace/name` where the port has no name; a question
/// mark where the maps do not name it.
pub(super) fn service_port(maps: &impl MapReader, service: u32) -> String {
    match port_id(maps, service) {
        Some(id) if id.port.is_empty() => id.service.to_string(),
        Some(id) => format!("{}:{}", id.service, id.port),
        None => "?".to_owned(),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => "none".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A frontend's kind within a sentence.
pub(super) const fn a_kind(kind: FrontendKind) -> &'static str {
    match kind {
        FrontendKind::ClusterIp => "a ClusterIP",
        FrontendKind::NodePort => "a NodePort",
        FrontendKind::ExternalIp => "an external IP",
        FrontendKind::LoadBalancer => "a load-balancer address",
    }
}

/// A client within a sentence.
pub(super) const fn a_client(origin: Origin) -> &'static str {
    match origin {
        Origin::Pod => "a pod of this node",
        Origin::Node => "this node itself",
        Origin::Outside => "a client outside of this node",
    }
}
