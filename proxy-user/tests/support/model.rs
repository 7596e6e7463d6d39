//! The rules of kube-proxy, written out plainly: from the objects that exist to what a node should hold.

use super::{World, events::NODE};
use shunt::model::{
    Endpoint, EndpointSlice, Family, Node, ObjectName, Protocol, Service, ServicePort, ServiceType,
    TrafficPolicy,
};
use smol_str::SmolStr;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

/// Identity of a service port.
pub type Owner = (ObjectName, SmolStr, Protocol, Family);

/// What a client dials: an address, or with none any address of the node; of a family, since a NodePort of
/// one family says nothing about the other.
pub type Frontend = (Family, Option<IpAddr>, u16, Protocol);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    ClusterIp,
    NodePort,
    ExternalIp,
    LoadBalancer,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortModel {
    pub cluster: BTreeSet<SocketAddr>,
    pub local: BTreeSet<SocketAddr>,
    /// Every endpoint that can serve, whatever policy and topology say: where a UDP flow may stay.
    pub usable: BTreeSet<SocketAddr>,
    pub internal_local: bool,
    pub external_local: bool,
    pub affinity_seconds: Option<u32>,
    pub source_ranges: BTreeSet<String>,
    pub own_addresses: BTreeSet<IpAddr>,
    pub health_check_node_port: Option<u16>,
}

/// What is true at one time.
#[derive(Clone, Default, Debug)]
pub struct Model {
    pub ports: BTreeMap<Owner, PortModel>,
    pub owners: BTreeMap<Frontend, (Kind, Owner)>,
    /// Every service port that has the right to a frontend, were it not for the others.
    pub claimants: BTreeMap<Frontend, BTreeSet<Owner>>,
    pub cluster_ips: BTreeSet<IpAddr>,
    pub node_addresses: BTreeSet<IpAddr>,
    pub service_cidrs: Vec<ipnet::IpNet>,
}

impl Model {
    pub fn of(world: &World) -> Self {
        let node = world.nodes.get(NODE);
        let mut model = Self { node_addresses: primary_addresses(node), ..Self::default() };
        model.service_cidrs = world.service_cidrs.values().flat_map(|cidr| cidr.cidrs.clone()).collect();
        let mut claims: BTreeMap<Frontend, Vec<(u8, i64, Owner, Kind)>> = BTreeMap::new();
        for service in world.services.values().filter(|service| is_served(service)) {
            for cluster_ip in &service.cluster_ips {
                let family = Family::of(cluster_ip);
                for port in &service.ports {
                    model.cluster_ips.insert(*cluster_ip);
                    let owner = (service.name.clone(), port.name.clone(), port.protocol, family);
                    model.ports.insert(owner.clone(), port_model(world, node, service, &owner));
                    for (address, number, kind) in frontends(service, port, *cluster_ip) {
                        let key = (family, address, number, port.protocol);
                        // Nothing takes a ClusterIP away, nor an external IP a load balancer's address; then the
                        // older Service, then the smaller name.
                        let rank = match kind {
                            Kind::ClusterIp => 0,
                            Kind::LoadBalancer => 1,
                            Kind::NodePort | Kind::ExternalIp => 2,
                        };
                        let claim = (rank, service.created, owner.clone(), kind);
                        claims.entry(key).or_default().push(claim);
                    }
                }
            }
        }
        for (frontend, mut claimants) in claims {
            claimants.sort();
            let (_, _, owner, kind) = claimants[0].clone();
            model.owners.insert(frontend, (kind, owner));
            model.claimants.insert(frontend, claimants.into_iter().map(|(_, _, owner, _)| owner).collect());
        }
        model
    }
}

/// Headless Services, aliases and those of another proxy are nobody's here, whatever else they list.
fn is_served(service: &Service) -> bool {
    !service.headless && !service.foreign_proxy && service.kind != ServiceType::ExternalName
}

/// The first address of each family of the Node object.
fn primary_addresses(node: Option<&Node>) -> BTreeSet<IpAddr> {
    let of = |family| node?.addresses.iter().copied().find(|address| Family::of(address) == family);
    Family::BOTH.into_iter().filter_map(of).collect()
}

fn frontends(service: &Service, port: &ServicePort, cluster_ip: IpAddr) -> Vec<(Option<IpAddr>, u16, Kind)> {
    let family = Family::of(&cluster_ip);
    let mut all = vec![(Some(cluster_ip), port.port, Kind::ClusterIp)];
    if matches!(service.kind, ServiceType::NodePort | ServiceType::LoadBalancer)
        && let Some(number) = port.node_port
    {
        all.push((None, number, Kind::NodePort));
    }
    let lists = [(&service.load_balancer_ips, Kind::LoadBalancer), (&service.external_ips, Kind::ExternalIp)];
    for (addresses, kind) in lists {
        for address in addresses.iter().filter(|address| Family::of(address) == family) {
            // An address that stands in two lists counts as the first.
            if !all.iter().any(|(known, _, _)| *known == Some(*address)) {
                all.push((Some(*address), port.port, kind));
            }
        }
    }
    all
}

fn port_model(world: &World, node: Option<&Node>, service: &Service, owner: &Owner) -> PortModel {
    let family = owner.3;
    let endpoints = endpoints(world, owner);
    let zone = node.and_then(|node| node.zone.as_ref());
    let ranges: BTreeSet<_> =
        service.source_ranges.iter().filter(|net| net.addr().is_ipv4() == (family == Family::V4)).collect();
    let primary = primary_addresses(node).into_iter().find(|address| Family::of(address) == family);
    let node_is_in = primary.is_some_and(|primary| ranges.iter().any(|range| range.contains(&primary)));
    let own = service.load_balancer_ips.iter().copied().filter(|ip| node_is_in && Family::of(ip) == family);
    let balanced =
        service.kind == ServiceType::LoadBalancer && service.external_policy == TrafficPolicy::Local;
    PortModel {
        cluster: cluster_set(&endpoints, zone),
        local: local_set(&endpoints),
        usable: endpoints.keys().copied().collect(),
        internal_local: service.internal_policy == TrafficPolicy::Local,
        external_local: service.external_policy == TrafficPolicy::Local,
        affinity_seconds: service.affinity_seconds,
        source_ranges: ranges.into_iter().map(ToString::to_string).collect(),
        own_addresses: own.collect(),
        health_check_node_port: service.health_check_node_port.filter(|_| balanced),
    }
}

fn is_local(endpoint: &Endpoint) -> bool {
    endpoint.node.as_deref() == Some(NODE)
}

/// Every usable endpoint once: of several entries the local one counts, then the ready one, then the one of
/// the slice with the smaller name, then the first.
fn endpoints(world: &World, (service, port, protocol, family): &Owner) -> BTreeMap<SocketAddr, Endpoint> {
    let mut found: BTreeMap<SocketAddr, Endpoint> = BTreeMap::new();
    let of_service = |slice: &&EndpointSlice| {
        (&slice.name.namespace, &slice.service, slice.family) == (&service.namespace, &service.name, *family)
    };
    for slice in world.slices.values().filter(of_service) {
        let Some(joined) = slice.ports.iter().find(|p| p.name == *port && p.protocol == *protocol) else {
            continue;
        };
        for endpoint in &slice.endpoints {
            let conditions = endpoint.conditions;
            let usable = conditions.ready || (conditions.serving && conditions.terminating);
            if !usable {
                continue;
            }
            let rank = |endpoint: &Endpoint| (is_local(endpoint), endpoint.conditions.ready);
            let address = SocketAddr::new(endpoint.address, joined.port);
            if found.get(&address).is_none_or(|known| rank(endpoint) > rank(known)) {
                found.insert(address, endpoint.clone());
            }
        }
    }
    found
}

fn cluster_set(endpoints: &BTreeMap<SocketAddr, Endpoint>, zone: Option<&SmolStr>) -> BTreeSet<SocketAddr> {
    let ready: Vec<_> = endpoints.iter().filter(|(_, endpoint)| endpoint.conditions.ready).collect();
    if ready.is_empty() {
        return endpoints.keys().copied().collect();
    }
    let chosen = |is_here: &dyn Fn(&Endpoint) -> bool| -> BTreeSet<SocketAddr> {
        ready.iter().filter(|(_, endpoint)| is_here(endpoint)).map(|(address, _)| **address).collect()
    };
    let same_node = chosen(&|endpoint| endpoint.node_hints.iter().any(|hint| hint == NODE));
    if !same_node.is_empty() && ready.iter().all(|(_, endpoint)| !endpoint.node_hints.is_empty()) {
        return same_node;
    }
    let same_zone = chosen(&|endpoint| endpoint.zone_hints.iter().any(|hint| Some(hint) == zone));
    if !same_zone.is_empty() && ready.iter().all(|(_, endpoint)| !endpoint.zone_hints.is_empty()) {
        return same_zone;
    }
    chosen(&|_| true)
}

fn local_set(endpoints: &BTreeMap<SocketAddr, Endpoint>) -> BTreeSet<SocketAddr> {
    let local: Vec<_> = endpoints.iter().filter(|(_, endpoint)| is_local(endpoint)).collect();
    let any_ready = local.iter().any(|(_, endpoint)| endpoint.conditions.ready);
    local.into_iter().filter(|(_, e)| e.conditions.ready || !any_ready).map(|(address, _)| *address).collect()
}
