//! A decoded service port.

use crate::model::{PortId, TrafficPolicy};
use std::net::{IpAddr, SocketAddr};

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
    /// A usable endpoint exists somewhere in the cluster.
    pub any_usable: bool,
    /// `internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// Idle time of an affinity, seconds; `None` without affinity.
    pub affinity_seconds: Option<u32>,
}

/// An address and port that leads to a service port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FrontendView {
    /// Its kind.
    pub kind: FrontendKind,
    /// The address; `None` for any address of the node.
    pub address: Option<IpAddr>,
    /// The port, host byte order.
    pub port: u16,
}

/// Kind of a frontend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FrontendKind {
    /// `spec.clusterIPs`.
    ClusterIp,
    /// `spec.ports[].nodePort`.
    NodePort,
    /// `spec.externalIPs`.
    ExternalIp,
    /// `status.loadBalancer.ingress[].ip`.
    LoadBalancer,
}

impl FrontendKind {
    /// The word that `plan` and `dump` print.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::ExternalIp => "ExternalIP",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}
