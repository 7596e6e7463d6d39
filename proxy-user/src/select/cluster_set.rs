//! What cluster-policy traffic from this node may reach.

use super::UsableEndpoint;
use crate::cluster::Hinted;

/// The rule that decides who is in the cluster set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClusterSet {
    /// The ready endpoints that topology lets this node use.
    Ready(Topology),
    /// None is ready: all that serve while they terminate, wherever they are (KEP-1669).
    Terminating,
}

/// Which ready endpoints this node uses. Only the endpoints' hints decide; what made the controller write
/// them (`trafficDistribution`, an annotation) is not looked at (KEP-2433, KEP-4444).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topology {
    /// Those with a hint that names this node.
    SameNode,
    /// Those with a hint that names this node's zone.
    SameZone,
    /// All of them.
    Anywhere,
}

impl ClusterSet {
    /// Decides by the usable endpoints.
    #[must_use]
    pub fn of(usable: &[UsableEndpoint]) -> Self {
        if usable.iter().any(|endpoint| endpoint.ready) {
            Self::Ready(Topology::of(usable))
        } else {
            Self::Terminating
        }
    }

    /// Whether a usable endpoint is in the set. Ready ones and terminating ones never mix.
    #[must_use]
    pub const fn has(self, endpoint: &UsableEndpoint) -> bool {
        match self {
            Self::Terminating => true,
            Self::Ready(_) if !endpoint.ready => false,
            Self::Ready(Topology::SameNode) => endpoint.hinted.to_this_node,
            Self::Ready(Topology::SameZone) => endpoint.hinted.to_this_zone,
            Self::Ready(Topology::Anywhere) => true,
        }
    }
}

impl Topology {
    /// Hints of one kind count if every ready endpoint has some and one of them names this node, or its
    /// zone: a single endpoint without turns that kind off for the whole service port.
    fn of(usable: &[UsableEndpoint]) -> Self {
        let hinted = || usable.iter().filter(|endpoint| endpoint.ready).map(|e| e.hinted);
        let all = |has: fn(Hinted) -> bool| hinted().all(has);
        let any = |has: fn(Hinted) -> bool| hinted().any(has);
        if all(|hinted| hinted.to_nodes) && any(|hinted| hinted.to_this_node) {
            Self::SameNode
        } else if all(|hinted| hinted.to_zones) && any(|hinted| hinted.to_this_zone) {
            Self::SameZone
        } else {
            Self::Anywhere
        }
    }
}
