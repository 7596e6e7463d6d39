//! From a frontend to the endpoints that a client may reach: the traffic policies.
//!
//! ```text
//!                 client                policy          endpoints
//! ClusterIP       any                   iTP Cluster     cluster set
//! ClusterIP       any                   iTP Local       local set, else dropped
//! any other kind  pod or node           eTP any         cluster set
//! any other kind  another machine       eTP Cluster     cluster set
//! any other kind  another machine       eTP Local       local set, else dropped
//! any             any                   no usable endpoint anywhere: rejected
//! ```
//! (iTP and eTP: `internalTrafficPolicy` and `externalTrafficPolicy`; neither touches the other's kinds.)

use super::{Client, Lookup, Tables, find_frontend};
use crate::abi::{
    BackendFlags, EndpointSet, FrontendFlags, FrontendValue, ServiceEntry, ServiceFlags, SocketPeer,
};

/// Why a new connection does not go to an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// No frontend of ours: left alone.
    NotAService,
    /// A load-balancer address with source ranges, dialled by a socket whose source address is not chosen
    /// yet: left alone, for whoever sees the packets.
    SourceUnknown,
    /// A port of a ClusterIP that no service port serves: rejected.
    UnknownPort,
    /// No usable endpoint anywhere: rejected.
    NoEndpoint,
    /// A Local policy, and no usable endpoint on this node, but on others: dropped.
    NoLocalEndpoint,
    /// The source address lies in none of the load balancer's source ranges: dropped.
    SourceNotAllowed,
    /// An address of a ServiceCIDR that no Service has: dropped.
    Unallocated,
    /// An index led outside of a map, which is a bug: rejected.
    Inconsistent,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is left alone.
    Pass(Reason),
    /// It is refused at once, with an answer.
    Reject(Reason),
    /// It is not answered.
    Drop(Reason),
    /// It goes to one of these endpoints.
    Forward(Route),
}

/// A frontend that a client dials and may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Admitted {
    /// The frontend.
    pub frontend: FrontendValue,
    /// The service port that it leads to, as it was at one moment.
    pub service: ServiceEntry,
}

/// The endpoints that a connection may reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The frontend that was dialled.
    pub frontend: FrontendValue,
    /// The service port that it leads to, as it was at one moment.
    pub service: ServiceEntry,
    /// The set in use; not empty.
    pub set: EndpointSet,
    /// What the flags of a backend contain while it is in that set.
    pub member: BackendFlags,
}

/// Decides what this node does with a new connection.
#[inline(always)]
pub fn route<T: Tables, C: Client>(tables: &T, client: &C, peer: &SocketPeer, protocol: u8) -> Verdict {
    let admitted = match admit(tables, client, peer, protocol) {
        Ok(admitted) => admitted,
        Err(verdict) => return verdict,
    };
    match applicable_set(client, &admitted) {
        Ok(route) => Verdict::Forward(route),
        Err(verdict) => verdict,
    }
}

/// The frontend that a client dials and may use, or what becomes of a call that has none.
///
/// Source ranges come before every policy: a pod outside of them is kept away too, unless the operator has
/// them bind clients outside of the cluster only.
#[inline(always)]
pub fn admit<T: Tables, C: Client>(
    tables: &T,
    client: &C,
    peer: &SocketPeer,
    protocol: u8,
) -> Result<Admitted, Verdict> {
    let frontend = match find_frontend(tables, client, peer, protocol) {
        Lookup::Frontend(frontend) => frontend,
        Lookup::NotAService => return Err(Verdict::Pass(Reason::NotAService)),
        Lookup::UnknownPort => return Err(Verdict::Reject(Reason::UnknownPort)),
        Lookup::Unallocated => return Err(Verdict::Drop(Reason::Unallocated)),
    };
    let Some(service) = tables.service_entry(frontend.service) else {
        return Err(Verdict::Reject(Reason::Inconsistent));
    };
    if frontend.kind().contains(FrontendFlags::LOAD_BALANCER)
        && service.flags.contains(ServiceFlags::SOURCE_RANGES)
        && (client.is_outside() || !service.flags.contains(ServiceFlags::SOURCE_RANGES_OUTSIDE))
    {
        let Some(source) = client.address() else { return Err(Verdict::Pass(Reason::SourceUnknown)) };
        if !tables.in_source_ranges(frontend.service, &source) {
            return Err(Verdict::Drop(Reason::SourceNotAllowed));
        }
    }
    Ok(Admitted { frontend, service })
}

/// The set of endpoints that the traffic policies allow this client.
#[inline(always)]
pub fn applicable_set<C: Client>(client: &C, admitted: &Admitted) -> Result<Route, Verdict> {
    let Admitted { frontend, service } = *admitted;
    let flags = service.flags;
    let local = if frontend.kind().contains(FrontendFlags::CLUSTER_IP) {
        flags.contains(ServiceFlags::INTERNAL_LOCAL)
    } else {
        // Pods and the node would reach any endpoint by way of the load balancer and another node.
        flags.contains(ServiceFlags::EXTERNAL_LOCAL) && client.is_outside()
    };
    let (set, member) = if local {
        (service.local, BackendFlags::IN_LOCAL)
    } else {
        (service.cluster, BackendFlags::IN_CLUSTER)
    };
    if set.count() > 0 {
        Ok(Route { frontend, service, set, member })
    } else if local && flags.contains(ServiceFlags::ANY_USABLE) {
        Err(Verdict::Drop(Reason::NoLocalEndpoint))
    } else {
        Err(Verdict::Reject(Reason::NoEndpoint))
    }
}
