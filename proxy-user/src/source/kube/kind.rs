//! The kinds of objects that are followed: where the API has them, and which of them kube-proxy asks for
//! (BEHAVIOUR.md: labelled for another proxy, headless, own node).

use crate::{model::ObjectName, source::kubernetes::ObjectId};
use std::fmt;

/// A kind of objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// This node's Node.
    Node,
    /// ServiceCIDRs; an API server older than Kubernetes 1.33 has none.
    ServiceCidrs,
    /// Services, but for headless ones and those of other proxies.
    Services,
    /// EndpointSlices, but for those of such Services.
    EndpointSlices,
}

impl Kind {
    /// All kinds, in the order in which their objects are best applied.
    pub const ALL: [Self; 4] = [Self::Node, Self::ServiceCidrs, Self::Services, Self::EndpointSlices];

    /// The path of the collection at the API server.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Node => "/api/v1/nodes",
            Self::ServiceCidrs => "/apis/networking.k8s.io/v1/servicecidrs",
            Self::Services => "/api/v1/services",
            Self::EndpointSlices => "/apis/discovery.k8s.io/v1/endpointslices",
        }
    }

    /// What the server filters by: label selector and field selector. Adding one of these labels later reaches
    /// a watch as a deletion.
    pub(super) fn selectors(self, node: &str) -> Selectors {
        let labels = match self {
            Self::Services => "!service.kubernetes.io/service-proxy-name",
            Self::EndpointSlices => {
                "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name"
            }
            Self::Node | Self::ServiceCidrs => "",
        };
        let fields = match self {
            Self::Services => "spec.clusterIP!=None".to_owned(),
            Self::Node => format!("metadata.name={node}"),
            Self::EndpointSlices | Self::ServiceCidrs => String::new(),
        };
        Selectors { labels, fields }
    }

    /// Whether the agent can do without: where the API has no such kind, or hides it, there is none.
    pub(super) const fn is_optional(self) -> bool {
        matches!(self, Self::ServiceCidrs)
    }

    /// Its object of a name.
    pub(super) fn id(self, name: ObjectName) -> ObjectId {
        match self {
            Self::Node => ObjectId::Node(name.name),
            Self::ServiceCidrs => ObjectId::ServiceCidr(name.name),
            Self::Services => ObjectId::Service(name),
            Self::EndpointSlices => ObjectId::EndpointSlice(name),
        }
    }

    /// API group and resource, as RBAC names them.
    pub(super) const fn resource(self) -> (&'static str, &'static str) {
        match self {
            Self::Node => ("", "nodes"),
            Self::ServiceCidrs => ("networking.k8s.io", "servicecidrs"),
            Self::Services => ("", "services"),
            Self::EndpointSlices => ("discovery.k8s.io", "endpointslices"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "Node",
            Self::ServiceCidrs => "ServiceCIDRs",
            Self::Services => "Services",
            Self::EndpointSlices => "EndpointSlices",
        })
    }
}

/// What the server filters by.
pub(super) struct Selectors {
    pub(super) labels: &'static str,
    pub(super) fields: String,
}
