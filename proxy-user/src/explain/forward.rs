//! A connection that goes to an endpoint: the rules that chose the set, and how one of it was picked.

use super::{
    Answer, ClientAddress, Question, Verdict,
    decide::has_source_ranges,
    refuse::{allowed, inconsistent},
    words::a_client,
};
use crate::{
    view::{FrontendKind, decode_node, endpoints},
    writer::{MapReader, WriteError},
};
use proxy_common::{
    abi::{AffinityKey, BackendEntry, BackendFlags, ServiceFlags},
    datapath::{Client as _, Origin, Route, Tables, pick_backend},
};
use std::net::SocketAddr;

/// Picks an endpoint, and says by which rules.
pub(super) fn forwarded<M: MapReader + Tables>(
    maps: &M,
    question: &Question,
    route: &Route,
) -> Result<Answer, WriteError> {
    let service = MapReader::service(maps, route.frontend.service).unwrap_or_default();
    let (flags, seconds) = (service.flags, service.affinity_seconds);
    let key = AffinityKey { client: question.affinity(), service: route.frontend.service };
    // A memory that is too old may name the backend that is picked, by chance.
    let lasts = u64::from(seconds) * 1_000_000_000;
    let before = maps.affinity(&key).filter(|entry| maps.now().saturating_sub(entry.last_flow) <= lasts);
    let Some((slot, backend)) = pick_backend(maps, question, route) else {
        return Ok(Answer::without_endpoint(Verdict::Reject, inconsistent()));
    };
    let is_kept = before.is_some_and(|entry| entry.backend == slot);
    let mut reason = policy(question, route, flags);
    reason.push_str(&set(maps, route, flags));
    reason.push('.');
    if has_source_ranges(maps, route.frontend, question.origin) {
        reason.push_str(&allowed(maps, question, route.frontend.service)?);
    }
    reason.push_str(&affinity(seconds, question.origin, is_kept));
    Ok(Answer {
        endpoints: endpoints(maps, route.set),
        picked: Some(SocketAddr::new(backend.address.to_ip(), u16::from_be(backend.port))),
        client_address: Some(client_address(question.origin, &backend)),
        ..Answer::without_endpoint(Verdict::Forward, reason)
    })
}

/// The traffic policy that decided, and for whom.
fn policy(question: &Question, route: &Route, flags: ServiceFlags) -> String {
    let (Question { origin, .. }, kind) = (*question, FrontendKind::decode(route.frontend.kind()));
    let (anywhere, here) = ("any usable endpoint of the cluster", "usable endpoints on this node only");
    let (policy, local) = match kind {
        Some(FrontendKind::ClusterIp) => {
            ("internalTrafficPolicy", flags.contains(ServiceFlags::INTERNAL_LOCAL))
        }
        _ => ("externalTrafficPolicy", flags.contains(ServiceFlags::EXTERNAL_LOCAL)),
    };
    let text = match (local, kind, origin) {
        (false, ..) => format!("{policy} is Cluster: {anywhere}"),
        (true, Some(FrontendKind::ClusterIp), _) | (true, _, Origin::Outside) => {
            format!("{policy} is Local: {here}")
        }
        (true, _, Origin::Pod | Origin::Node) => format!(
            "{policy} is Local, which binds clients outside of the cluster; for {}: {anywhere}",
            a_client(origin)
        ),
    };
    match kind {
        Some(FrontendKind::NodePort) if question.address().is_loopback() => {
            format!("NodePorts answer on loopback addresses in the node's own network namespace. {text}")
        }
        Some(FrontendKind::NodePort) => {
            format!("{} is an address of this node where NodePorts answer. {text}", question.address())
        }
        _ => text,
    }
}

/// What narrows or widens the set that the policy allows.
fn set(maps: &impl MapReader, route: &Route, flags: ServiceFlags) -> String {
    let local = route.member == BackendFlags::IN_LOCAL;
    let fallback = if local { ServiceFlags::LOCAL_TERMINATING } else { ServiceFlags::CLUSTER_TERMINATING };
    if flags.contains(fallback) {
        ". None of them is ready, so those are used that still serve while they terminate".to_owned()
    } else if !local && flags.contains(ServiceFlags::NODE_HINTS) {
        ", narrowed by topology hints to those for this node".to_owned()
    } else if !local && flags.contains(ServiceFlags::ZONE_HINTS) {
        let (_, zone) = decode_node(maps);
        format!(", narrowed by topology hints to those for zone {}", zone.as_deref().unwrap_or("?"))
    } else {
        String::new()
    }
}

/// How session affinity had its say, if it lasts for so many seconds.
fn affinity(seconds: u32, origin: Origin, is_kept: bool) -> String {
    match origin {
        _ if seconds == 0 => String::new(),
        _ if is_kept => format!(
            " ClientIP session affinity: this client's last connection, less than {seconds} s ago, went to the \
             picked one."
        ),
        Origin::Outside => format!(
            " ClientIP session affinity: this client comes back to the picked one until {seconds} s after its \
             last connection."
        ),
        Origin::Pod | Origin::Node => format!(
            " ClientIP session affinity: all sockets of one pod, or of the node, are one client, which comes \
             back to its endpoint until {seconds} s after its last connection; the picked one is a new \
             client's."
        ),
    }
}

/// Whose address the endpoint sees. A socket on this node is pointed at its endpoint before it has sent a
/// packet, so nothing has to be translated; a packet from outside leaves again for other nodes, and the
/// answers must come back here.
const fn client_address(origin: Origin, backend: &BackendEntry) -> ClientAddress {
    match origin {
        Origin::Pod | Origin::Node => ClientAddress::Kept,
        Origin::Outside if backend.flags.contains(BackendFlags::LOCAL) => ClientAddress::Kept,
        Origin::Outside => ClientAddress::Node,
    }
}
