//! A Service.

use super::ObjectName;
use ipnet::IpNet;
use proxy_common::abi;
use smol_str::SmolStr;
use std::{fmt, net::IpAddr};

/// A Service, whatever its type; [`crate::cluster`] decides which of its parts count.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Service {
    /// Namespace and name.
    pub name: ObjectName,
    /// `metadata.creationTimestamp`, seconds since the Unix epoch: where two Services claim one
    /// address and port, the older one has it.
    pub created: i64,
    /// True with a label `service.kubernetes.io/service-proxy-name`, whatever its value: another
    /// proxy's business.
    pub foreign_proxy: bool,
    /// `spec.type`.
    pub kind: ServiceType,
    /// True for `clusterIP: None`.
    pub headless: bool,
    /// `spec.clusterIPs` (or the older `clusterIP`), at most one of each family.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress[].ip`, those whose ipMode is VIP or absent.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `spec.externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// Timeout of `sessionAffinity: ClientIP`, seconds; `None` without affinity.
    pub affinity_seconds: Option<u32>,
    /// `spec.loadBalancerSourceRanges` of both families; those that cannot be read are left out.
    pub source_ranges: Vec<IpNet>,
    /// `spec.healthCheckNodePort`, where not zero.
    pub health_check_node_port: Option<u16>,
}

impl Service {
    /// A ClusterIP service without ports, to be filled in.
    #[must_use]
    pub fn cluster_ip(name: ObjectName, cluster_ips: Vec<IpAddr>) -> Self {
        Self {
            name,
            created: 0,
            foreign_proxy: false,
            kind: ServiceType::ClusterIp,
            headless: false,
            cluster_ips,
            ports: Vec::new(),
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Cluster,
            affinity_seconds: None,
            source_ranges: Vec::new(),
            health_check_node_port: None,
        }
    }
}

/// An entry of `spec.ports`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServicePort {
    /// Name; empty where the only port has none.
    pub name: SmolStr,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of ClusterIP, external IPs and load-balancer IPs.
    pub port: u16,
    /// `nodePort`, where not zero.
    pub node_port: Option<u16>,
}

/// `spec.type`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ServiceType {
    /// Reachable inside the cluster.
    ClusterIp,
    /// Also on a port of every node.
    NodePort,
    /// Also on load-balancer addresses.
    LoadBalancer,
    /// A DNS alias: never programmed.
    ExternalName,
}

/// `internalTrafficPolicy` and `externalTrafficPolicy`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TrafficPolicy {
    /// Any endpoint of the cluster.
    Cluster,
    /// Endpoints of this node only.
    Local,
}

/// Transport protocol; the discriminant is the IP protocol number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Protocol {
    /// TCP.
    Tcp = abi::TCP,
    /// UDP.
    Udp = abi::UDP,
    /// SCTP.
    Sctp = abi::SCTP,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}
