//! Service (core/v1).

use super::{Metadata, Text};
use serde::Deserialize;

/// A Service.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Service<'a> {
    /// `metadata`.
    #[serde(borrow, default)]
    pub metadata: Metadata<'a>,
    #[serde(borrow)]
    pub(in super::super) spec: Option<ServiceSpec<'a>>,
    #[serde(borrow)]
    pub(in super::super) status: Option<ServiceStatus<'a>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct ServiceSpec<'a> {
    #[serde(borrow, rename = "type")]
    pub(in super::super) type_: Option<Text<'a>>,
    #[serde(borrow, rename = "clusterIP")]
    pub(in super::super) cluster_ip: Option<Text<'a>>,
    #[serde(borrow, rename = "clusterIPs")]
    pub(in super::super) cluster_ips: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(in super::super) ip_families: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(in super::super) ports: Option<Vec<ServicePort<'a>>>,
    #[serde(borrow, rename = "externalIPs")]
    pub(in super::super) external_ips: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(in super::super) internal_traffic_policy: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in super::super) external_traffic_policy: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in super::super) session_affinity: Option<Text<'a>>,
    pub(in super::super) session_affinity_config: Option<SessionAffinityConfig>,
    #[serde(borrow)]
    pub(in super::super) load_balancer_source_ranges: Option<Vec<Text<'a>>>,
    pub(in super::super) health_check_node_port: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct ServicePort<'a> {
    #[serde(borrow)]
    pub(in super::super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in super::super) protocol: Option<Text<'a>>,
    /// Zero where it is missing, as in the full type.
    pub(in super::super) port: Option<i32>,
    pub(in super::super) node_port: Option<i32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(in super::super) struct SessionAffinityConfig {
    #[serde(rename = "clientIP")]
    pub(in super::super) client_ip: Option<ClientIpConfig>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct ClientIpConfig {
    pub(in super::super) timeout_seconds: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct ServiceStatus<'a> {
    #[serde(borrow)]
    pub(in super::super) load_balancer: Option<LoadBalancerStatus<'a>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct LoadBalancerStatus<'a> {
    #[serde(borrow)]
    pub(in super::super) ingress: Option<Vec<LoadBalancerIngress<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct LoadBalancerIngress<'a> {
    #[serde(borrow)]
    pub(in super::super) ip: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in super::super) ip_mode: Option<Text<'a>>,
}
