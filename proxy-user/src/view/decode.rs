//! From map entries to [`PortView`]s.

use super::{FrontendView, PortView, net};
use crate::{
    model::{PortId, TrafficPolicy},
    table::{parse_name, parse_node},
    writer::{MapReader, PrefixKey, WriteError},
};
use ipnet::IpNet;
use proxy_common::abi::{EndpointSet, ServiceFlags, SourceRule};
use std::{collections::BTreeMap, net::SocketAddr};

/// Decodes every service port that a frontend leads to, sorted by namespace, name, port, protocol
/// and family.
///
/// # Errors
/// Where the frontends or the source ranges cannot be read.
pub fn decode(reader: &impl MapReader) -> Result<Vec<PortView>, WriteError> {
    let mut found: BTreeMap<u32, (Vec<FrontendView>, Vec<IpNet>)> = BTreeMap::new();
    for (key, value) in reader.frontends()? {
        if let Some(view) = FrontendView::decode(&key, value) {
            found.entry(value.service).or_default().0.push(view);
        }
    }
    for (service, range) in source_ranges(reader)? {
        if let Some((_, ranges)) = found.get_mut(&service) {
            ranges.push(range);
        }
    }
    let mut ports: Vec<_> = found
        .into_iter()
        .map(|(index, (mut frontends, mut ranges))| {
            frontends.sort_unstable();
            ranges.sort_unstable();
            port(reader, index, frontends, ranges)
        })
        .collect();
    ports.sort_by(|a, b| a.id.cmp(&b.id).then(a.index.cmp(&b.index)));
    Ok(ports)
}

/// The node that the maps are for, and its zone; the name is empty in maps that were never
/// programmed.
#[must_use]
pub fn decode_node(reader: &impl MapReader) -> (String, Option<String>) {
    parse_node(reader)
}

/// The identity of a service port; `None` where the maps do not name it.
pub(crate) fn port_id(reader: &impl MapReader, service: u32) -> Option<PortId> {
    let cell = reader.service(service)?.name.checked_sub(1)?;
    reader.name(cell).as_deref().and_then(parse_name)
}

/// The endpoints of a set, ascending.
pub(crate) fn endpoints(reader: &impl MapReader, set: EndpointSet) -> Vec<SocketAddr> {
    // A set in damaged maps may say anything.
    let end = set.base().saturating_add(set.count()).min(reader.capacities().slots);
    let slots = set.base()..end;
    let backends = slots.filter_map(|slot| reader.backend(reader.slot(slot)?.index()));
    let mut list: Vec<_> =
        backends.map(|b| SocketAddr::new(b.address.to_ip(), u16::from_be(b.port))).collect();
    list.sort_unstable();
    list
}

/// Every source range that a Service names, with the index of its service port. A Service's own
/// load-balancer addresses may use it too, but nobody wrote that.
pub(crate) fn source_ranges(
    reader: &impl MapReader,
) -> Result<impl Iterator<Item = (u32, IpNet)>, WriteError> {
    Ok(reader.prefixes()?.into_iter().filter_map(|(key, value)| match key {
        PrefixKey::Source(key) if value == SourceRule::Range as u32 => {
            Some((key.service, net(key.address, key.prefix_len.checked_sub(u32::BITS)?)?))
        }
        _ => None,
    }))
}

fn port(
    reader: &impl MapReader,
    index: u32,
    frontends: Vec<FrontendView>,
    source_ranges: Vec<IpNet>,
) -> PortView {
    let entry = reader.service(index).unwrap_or_default();
    let policy =
        |flag| if entry.flags.contains(flag) { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
    PortView {
        id: port_id(reader, index),
        index,
        frontends,
        cluster: endpoints(reader, entry.cluster),
        local: endpoints(reader, entry.local),
        local_terminating: entry.flags.contains(ServiceFlags::LOCAL_TERMINATING),
        any_usable: entry.flags.contains(ServiceFlags::ANY_USABLE),
        internal_policy: policy(ServiceFlags::INTERNAL_LOCAL),
        external_policy: policy(ServiceFlags::EXTERNAL_LOCAL),
        affinity_seconds: Some(entry.affinity_seconds).filter(|seconds| *seconds > 0),
        source_ranges,
        health_check_node_port: Some(entry.health_check_node_port).filter(|port| *port > 0),
    }
}
