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

use super::{Client, Lookup, Origin, Tables, find_frontend};
use crate::abi::{BackendFlags, EndpointSet, FrontendFlags, FrontendValue, ServiceFlags, SocketPeer};

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

/// The endpoints that a connection may reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The frontend that was dialled.
    pub frontend: FrontendValue,
    /// The set in use; not empty.
    pub set: EndpointSet,
    /// What the flags of a backend contain while it is in that set.
    pub member: BackendFlags,
}

/// Decides what this node does with a new connection.
#[inline(always)]
pub fn route<T: Tables, C: Client>(tables: &T, client: &C, peer: &SocketPeer, protocol: u8) -> Verdict {
    let frontend = match admit(tables, client, peer, protocol) {
        Ok(frontend) => frontend,
        Err(verdict) => return verdict,
    };
    match applicable_set(tables, client, frontend) {
        Ok(route) => Verdict::Forward(route),
        Err(verdict) => verdict,
    }
}

/// The frontend that a client dials and may use, or what becomes of a call that has none.
///
/// Source ranges come before every policy: a pod outside of them is kept away too.
#[inline(always)]
pub fn admit<T: Tables, C: Client>(
    tables: &T,
    client: &C,
    peer: &SocketPeer,
    protocol: u8,
) -> Result<FrontendValue, Verdict> {
    let frontend = match find_frontend(tables, client, peer, protocol) {
        Lookup::Frontend(frontend) => frontend,
        Lookup::NotAService => return Err(Verdict::Pass(Reason::NotAService)),
        Lookup::UnknownPort => return Err(Verdict::Reject(Reason::UnknownPort)),
        Lookup::Unallocated => return Err(Verdict::Drop(Reason::Unallocated)),
    };
    if frontend.kind().contains(FrontendFlags::LOAD_BALANCER) {
        let flags = tables.service_flags(frontend.service).unwrap_or_default();
        if flags.contains(ServiceFlags::SOURCE_RANGES) {
            let Some(source) = client.address() else { return Err(Verdict::Pass(Reason::SourceUnknown)) };
            if !tables.in_source_ranges(frontend.service, &source) {
                return Err(Verdict::Drop(Reason::SourceNotAllowed));
            }
        }
    }
    Ok(frontend)
}

/// The set of endpoints that the traffic policies allow this client.
#[inline(always)]
pub fn applicable_set<T: Tables, C: Client>(
    tables: &T,
    client: &C,
    frontend: FrontendValue,
) -> Result<Route, Verdict> {
    let service = frontend.service;
    let Some(flags) = tables.service_flags(service) else {
        return Err(Verdict::Reject(Reason::Inconsistent));
    };
    let local = if frontend.kind().contains(FrontendFlags::CLUSTER_IP) {
        flags.contains(ServiceFlags::INTERNAL_LOCAL)
    } else {
        // Pods and the node would reach any endpoint by way of the load balancer and another node.
        flags.contains(ServiceFlags::EXTERNAL_LOCAL) && client.origin() as u8 == Origin::Outside as u8
    };
    let (set, member) = if local {
        (tables.local_set(service), BackendFlags::IN_LOCAL)
    } else {
        (tables.cluster_set(service), BackendFlags::IN_CLUSTER)
    };
    match set {
        None => Err(Verdict::Reject(Reason::Inconsistent)),
        Some(set) if set.count() > 0 => Ok(Route { frontend, set, member }),
        Some(_) if local && flags.contains(ServiceFlags::ANY_USABLE) => {
            Err(Verdict::Drop(Reason::NoLocalEndpoint))
        }
        Some(_) => Err(Verdict::Reject(Reason::NoEndpoint)),
    }
}
