//! The JSON that `plan` and `dump` print: one object, one entry per service port and family.

use crate::{
    model::TrafficPolicy,
    view::{FrontendView, HealthCheckView, PortView, decode, decode_node, health_checks},
    writer::{MapReader, WriteError},
};
use serde::Serialize;

/// All that is programmed for a node.
#[derive(Debug, Serialize)]
pub struct Document {
    /// The node.
    pub node: NodeDocument,
    /// Sorted by namespace, name, port, protocol and family.
    pub services: Vec<PortDocument>,
    /// What load balancers are answered that ask about a Service, by namespace, name and family.
    pub health_checks: Vec<HealthCheckDocument>,
}

/// The node.
#[derive(Debug, Serialize)]
pub struct NodeDocument {
    /// Its name.
    pub name: String,
    /// Its zone, where known.
    pub zone: Option<String>,
}

/// A service port of one family.
#[derive(Debug, Serialize)]
pub struct PortDocument {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// Name of the port.
    pub port: String,
    /// TCP, UDP or SCTP.
    pub protocol: String,
    /// IPv4 or IPv6.
    pub family: String,
    /// What clients dial.
    pub frontends: Vec<FrontendView>,
    /// What cluster-policy traffic from this node may reach.
    pub cluster: Vec<String>,
    /// What local-policy traffic may reach.
    pub local: Vec<String>,
    /// A usable endpoint exists somewhere in the cluster.
    pub any_usable: bool,
    /// Cluster or Local.
    pub internal_policy: &'static str,
    /// Cluster or Local.
    pub external_policy: &'static str,
    /// Idle time of an affinity.
    pub affinity_seconds: Option<u32>,
    /// Who may use the load-balancer addresses; empty for everyone.
    pub source_ranges: Vec<String>,
    /// Where the service answers health checks.
    pub health_check_node_port: Option<u16>,
}

/// The health check of a Service in one family.
#[derive(Debug, Serialize)]
pub struct HealthCheckDocument {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub name: String,
    /// IPv4 or IPv6.
    pub family: String,
    /// Where it is asked.
    pub port: u16,
    /// Ready endpoints of this node, each address once.
    pub local_endpoints: usize,
    /// What a healthy agent answers: 200 or 503.
    pub status: u16,
}

impl Document {
    /// Decodes what maps hold.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn read(maps: &impl MapReader) -> Result<Self, WriteError> {
        let (name, zone) = decode_node(maps);
        let ports = decode(maps)?;
        Ok(Self {
            node: NodeDocument { name, zone },
            services: ports.iter().map(PortDocument::new).collect(),
            health_checks: health_checks(&ports).iter().map(HealthCheckDocument::new).collect(),
        })
    }
}

impl HealthCheckDocument {
    fn new(check: &HealthCheckView) -> Self {
        let HealthCheckView { service, family, port, local_endpoints } = check;
        Self {
            namespace: service.namespace.to_string(),
            name: service.name.to_string(),
            family: family.to_string(),
            port: *port,
            local_endpoints: *local_endpoints,
            status: check.status(),
        }
    }
}

impl PortDocument {
    fn new(port: &PortView) -> Self {
        let id = port.id.as_ref();
        let text = |of: &dyn Fn(&crate::model::PortId) -> String| id.map_or_else(|| "?".to_owned(), of);
        Self {
            namespace: text(&|id| id.service.namespace.to_string()),
            name: text(&|id| id.service.name.to_string()),
            port: text(&|id| id.port.to_string()),
            protocol: text(&|id| id.protocol.to_string()),
            family: text(&|id| id.family.to_string()),
            frontends: port.frontends.clone(),
            cluster: port.cluster.iter().map(ToString::to_string).collect(),
            local: port.local.iter().map(ToString::to_string).collect(),
            any_usable: port.any_usable,
            internal_policy: policy(port.internal_policy),
            external_policy: policy(port.external_policy),
            affinity_seconds: port.affinity_seconds,
            source_ranges: port.source_ranges.iter().map(ToString::to_string).collect(),
            health_check_node_port: port.health_check_node_port,
        }
    }
}

const fn policy(policy: TrafficPolicy) -> &'static str {
    match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    }
}
