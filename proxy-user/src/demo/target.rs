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
/// Nobody serves it, TCP.
pub const EMPTY: Named = Named { namespace: "default", name: "empty" };

/// A service port of one family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The Service.
    pub service: Named,
    /// The protocol.
    pub protocol: Protocol,
    /// Its ClusterIP and port.
    pub address: SocketAddr,
    /// Addresses and ports of its backends, ascending.
    pub backends: Vec<SocketAddr>,
    /// The servers at the backends, in their order.
    pub pods: Vec<String>,
}

impl Target {
    /// Finds it among what the kernel holds; `name` knows the server at an address.
    pub fn find(
        ports: &[PortView],
        service: Named,
        protocol: Protocol,
        family: Family,
        name: impl Fn(IpAddr) -> String,
    ) -> Option<Self> {
        let is_wanted = |port: &&PortView| {
            port.id.as_ref().is_some_and(|id| {
                (&*id.service.namespace, &*id.service.name) == (service.namespace, service.name)
                    && (id.protocol, id.family) == (protocol, family)
            })
        };
        let port = ports.iter().find(is_wanted)?;
        let frontend = port.frontends.iter().find(|frontend| frontend.kind == FrontendKind::ClusterIp)?;
        Some(Self {
            service,
            protocol,
            address: SocketAddr::new(frontend.address?, frontend.port),
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
