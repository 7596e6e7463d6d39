//! A decoded service port.

use super::FrontendView;
use crate::model::{PortId, TrafficPolicy};
use ipnet::IpNet;
use std::net::SocketAddr;

/// A service port of one family, as the maps hold it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortView {
    /// Identity; `None` where the maps do not name it.
    pub id: Option<PortId>,
    /// Index into SERVICES.
    pub index: u32,
    /// Frontends that lead to it, by kind, address and port.
    pub frontends: Vec<FrontendView>,
    /// What cluster-policy traffic may reach, ascending.
    pub cluster: Vec<SocketAddr>,
    /// What local-policy traffic may reach, ascending.
    pub local: Vec<SocketAddr>,
    /// None of those in `local` is ready: they serve while they terminate.
    pub local_terminating: bool,
    /// A usable endpoint exists somewhere in the cluster.
    pub any_usable: bool,
    /// `internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// Idle time of an affinity, seconds; `None` without affinity.
    pub affinity_seconds: Option<u32>,
    /// `loadBalancerSourceRanges` of this family, ascending; without any, everyone may use the
    /// load-balancer addresses.
    pub source_ranges: Vec<IpNet>,
    /// `healthCheckNodePort`, where the service answers one.
    pub health_check_node_port: Option<u16>,
}
