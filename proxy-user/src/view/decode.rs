//! From map entries to [`PortView`]s.

use super::{FrontendKind, FrontendView, PortView};
use crate::{
    model::TrafficPolicy,
    table::{parse_name, parse_node},
    writer::{FrontendKey, MapReader, WriteError},
};
use proxy_common::abi::{Address, EndpointSet, FrontendFlags, FrontendValue, Scope, ServiceFlags};
use std::{collections::BTreeMap, net::SocketAddr};

/// Decodes every service port that a frontend leads to, sorted by namespace, name, port, protocol
/// and family.
///
/// # Errors
/// Where the frontends cannot be read.
pub fn decode(reader: &impl MapReader) -> Result<Vec<PortView>, WriteError> {
    let mut frontends: BTreeMap<u32, Vec<FrontendView>> = BTreeMap::new();
    for (key, value) in reader.frontends()? {
        if let Some(view) = frontend(&key, value) {
            frontends.entry(value.service).or_default().push(view);
        }
    }
    let mut ports: Vec<_> = frontends.into_iter().map(|(index, list)| port(reader, index, list)).collect();
    ports.sort_by(|a, b| a.id.cmp(&b.id).then(a.index.cmp(&b.index)));
    Ok(ports)
}

/// The node that the maps are for, and its zone; the name is empty in maps that were never
/// programmed.
#[must_use]
pub fn decode_node(reader: &impl MapReader) -> (String, Option<String>) {
    parse_node(reader)
}

fn port(reader: &impl MapReader, index: u32, mut frontends: Vec<FrontendView>) -> PortView {
    frontends.sort_unstable();
    let entry = reader.service(index).unwrap_or_default();
    let name = entry.name.checked_sub(1).and_then(|cell| reader.name(cell));
    let policy =
        |flag| if entry.flags.contains(flag) { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
    PortView {
        id: name.as_deref().and_then(parse_name),
        index,
        frontends,
        cluster: endpoints(reader, entry.cluster),
        local: endpoints(reader, entry.local),
        any_usable: entry.flags.contains(ServiceFlags::ANY_USABLE),
        internal_policy: policy(ServiceFlags::INTERNAL_LOCAL),
        external_policy: policy(ServiceFlags::EXTERNAL_LOCAL),
        affinity_seconds: Some(entry.affinity_seconds).filter(|seconds| *seconds > 0),
    }
}

fn endpoints(reader: &impl MapReader, set: EndpointSet) -> Vec<SocketAddr> {
    // A set in damaged maps may say anything.
    let end = set.base().saturating_add(set.count()).min(reader.capacities().slots);
    let slots = set.base()..end;
    let backends = slots.filter_map(|slot| reader.backend(reader.slot(slot)?.index()));
    let mut list: Vec<_> =
        backends.map(|b| SocketAddr::new(b.address.to_ip(), u16::from_be(b.port))).collect();
    list.sort_unstable();
    list
}

/// A frontend; `None` for an entry that only marks an address as a ClusterIP.
fn frontend(key: &FrontendKey, value: FrontendValue) -> Option<FrontendView> {
    let kind = match value.kind() {
        FrontendFlags::CLUSTER_IP => FrontendKind::ClusterIp,
        FrontendFlags::NODE_PORT => FrontendKind::NodePort,
        FrontendFlags::EXTERNAL_IP => FrontendKind::ExternalIp,
        FrontendFlags::LOAD_BALANCER => FrontendKind::LoadBalancer,
        _ => return None,
    };
    let (address, port, scope) = match key {
        FrontendKey::V4(key) => (Address::from_v4_word(key.address), key.port, key.scope),
        FrontendKey::V6(key) => (Address { words: key.address }, key.port, key.scope),
    };
    let address = (scope != Scope::Node as u8).then(|| address.to_ip());
    Some(FrontendView { kind, address, port: u16::from_be(port) })
}
