//! What a client dials, and who may answer: a service port of one family, as the kernel holds it.

use crate::{
    model::{Family, Protocol},
    view::{FrontendKind, PortView},
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// A Service that the demo is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Named {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// Three of the four pods serve it, TCP.
pub const WEB: Named = Named { namespace: "default", name: "web" };
/// All pods serve it, UDP and TCP.
pub const DNS: Named = Named { namespace: "kube-system", name: "kube-dns" };
/// All pods serve it, TCP, each client always the same one.
pub const CART: Named = Named { namespace: "default", name: "cart" };
/// Nobody serves it, TCP.
pub const EMPTY: Named = Named { namespace: "default", name: "empty" };

/// A service port of one family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The Service.
    pub service: Named,
    /// The protocol.
    pub protocol: Protocol,
    /// Its family.
    pub family: Family,
    /// Its ClusterIP and port.
    pub address: SocketAddr,
    /// Its port on the node, if it has one.
    pub node_port: Option<u16>,
    /// Addresses and ports of its backends, ascending.
    pub backends: Vec<SocketAddr>,
    /// The servers at the backends, in their order.
    pub pods: Vec<String>,
}

impl Target {
    /// What the kernel holds of a service port, if it is one of `service`; `name` knows the server at an
    /// address.
    pub fn of(port: &PortView, service: Named, name: impl Fn(IpAddr) -> String) -> Option<Self> {
        let id = port.id.as_ref()?;
        if (&*id.service.namespace, &*id.service.name) != (service.namespace, service.name) {
            return None;
        }
        let frontend = |kind| port.frontends.iter().find(|frontend| frontend.kind == kind);
        let cluster_ip = frontend(FrontendKind::ClusterIp)?;
        Some(Self {
            service,
            protocol: id.protocol,
            family: id.family,
            address: SocketAddr::new(cluster_ip.address?, cluster_ip.port),
            node_port: frontend(FrontendKind::NodePort).map(|frontend| frontend.port),
            backends: port.cluster.clone(),
            pods: port.cluster.iter().map(|backend| name(backend.ip())).collect(),
        })
    }

    /// As a row of a table begins.
    pub fn row(&self) -> String {
        format!("{:9} {} {}", self.service.name, self.protocol, self.address)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.service.name, self.protocol, self.address)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
