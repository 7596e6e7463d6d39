//! The plain model of kube-proxy's rules that the property tests have, laid over what the fuzzer made:
//! the maps hold what it says, the datapath decides what it says, and who has to do without is named.

mod events;
#[path = "../../../proxy-user/tests/support/model.rs"]
mod model;
#[path = "../../../proxy-user/tests/support/verdict.rs"]
#[allow(dead_code, reason = "the property tests have probes of their own")]
mod verdict;
#[path = "../../../proxy-user/tests/support/world.rs"]
mod world;

use proxy_common::{
    abi::{EndpointSet, SocketPeer},
    datapath::{Origin, PacketClient, Verdict, route},
};
use shunt::{
    engine::Engine,
    model::{Family, PortId, TrafficPolicy},
    view::{FrontendKind, decode},
    writer::{MapReader as _, MemoryMaps},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};
use verdict::{Expected, Probe};

pub use events::NODE;
use model::{Kind, Model, Owner, PortModel};
pub use world::World;

/// Clients of each family; the last one comes from outside.
const CLIENTS: [(Origin, [&str; 2]); 3] = [
    (Origin::Pod, ["10.244.0.99", "fd00:244::99"]),
    (Origin::Node, ["10.0.0.1", "fd00:0::1"]),
    (Origin::Outside, ["198.51.100.7", "2001:db8:9::7"]),
];

/// A port that few Services have.
const UNUSED: u16 = 9;

/// Of so many frontends, clients ask.
const ASKED: usize = 12;

/// The maps of an engine that has room are what the rules make of the objects that exist.
pub fn assert_kept(engine: &Engine<MemoryMaps>, world: &World) {
    let (maps, model) = (engine.writer(), world.model());
    assert_content(maps, &model);
    assert_losers_named(engine, &model);
    for (family, address, port, protocol) in model.owners.keys().take(ASKED) {
        let address =
            address.or_else(|| model.node_addresses.iter().find(|ip| Family::of(ip) == *family).copied());
        // What a loopback or link-local address leads to, the operator's rules say and not the objects.
        let Some(address) = address.filter(|address| !is_bound_to_link(address)) else { continue };
        for (origin, sources) in CLIENTS {
            let source: IpAddr = sources[usize::from(address.is_ipv6())].parse().unwrap();
            // The model does not say whose an address is that is a pod's, or the node's, and a ServiceCIDR's.
            let unused = (!is_of_node(world, address)).then_some(UNUSED);
            for port in [*port].into_iter().chain(unused) {
                let destination = SocketAddr::new(address, port);
                let probe = Probe { origin, source, destination, protocol: *protocol };
                assert_eq!(decide(maps, &probe), model.decide(&probe), "{probe:?}");
            }
        }
    }
}

fn assert_content(maps: &MemoryMaps, model: &Model) {
    let mut owners = BTreeMap::new();
    for port in decode(maps).unwrap() {
        let id = port.id.clone().unwrap();
        let owner: Owner = (id.service.clone(), id.port.clone(), id.protocol, id.family);
        let expected = model.ports.get(&owner).unwrap_or_else(|| panic!("{id} does not exist"));
        let is_local = |policy| policy == TrafficPolicy::Local;
        let found = PortModel {
            cluster: port.cluster.iter().copied().collect(),
            local: port.local.iter().copied().collect(),
            internal_local: is_local(port.internal_policy),
            external_local: is_local(port.external_policy),
            affinity_seconds: port.affinity_seconds,
            source_ranges: port.source_ranges.iter().map(ToString::to_string).collect(),
            health_check_node_port: port.health_check_node_port,
            // Not in the maps as such.
            usable: expected.usable.clone(),
            own_addresses: expected.own_addresses.clone(),
        };
        assert_eq!(found, *expected, "{id}");
        assert_eq!(port.any_usable, !expected.usable.is_empty(), "{id}");
        for frontend in port.frontends {
            let key = (owner.3, frontend.address, frontend.port, owner.2);
            owners.insert(key, (kind(frontend.kind), owner.clone()));
        }
    }
    assert_eq!(owners, model.owners);
}

/// A service port that has the right to a frontend and not the frontend is told of, where another Service
/// has it.
fn assert_losers_named(engine: &Engine<MemoryMaps>, model: &Model) {
    let losers: BTreeSet<PortId> = engine.conflicts().into_iter().map(|conflict| conflict.loser).collect();
    for (frontend, claimants) in &model.claimants {
        let (_, winner) = &model.owners[frontend];
        for (service, port, protocol, family) in claimants.iter().filter(|owner| owner.0 != winner.0) {
            let id =
                PortId { service: service.clone(), port: port.clone(), protocol: *protocol, family: *family };
            assert!(losers.contains(&id), "{winner:?} has {frontend:?} of {id}, and nobody says so");
        }
    }
}

fn decide(maps: &MemoryMaps, probe: &Probe) -> Expected {
    let client = PacketClient { origin: probe.origin, address: probe.source.into() };
    let peer = SocketPeer::new(probe.destination.ip().into(), probe.destination.port().to_be());
    match route(maps, &client, &peer, probe.protocol as u8) {
        Verdict::Pass(_) => Expected::Pass,
        Verdict::Reject(reason) => Expected::Reject(reason),
        Verdict::Drop(reason) => Expected::Drop(reason),
        Verdict::Forward(route) => Expected::Forward(endpoints(maps, route.set)),
    }
}

fn endpoints(maps: &MemoryMaps, set: EndpointSet) -> BTreeSet<SocketAddr> {
    let slots = set.base()..set.base() + set.count();
    let backends = slots.map(|slot| maps.backend(maps.slot(slot).unwrap().index()).unwrap());
    backends.map(|entry| SocketAddr::new(entry.address.to_ip(), u16::from_be(entry.port))).collect()
}

fn is_of_node(world: &World, address: IpAddr) -> bool {
    let node = world.nodes.get(NODE);
    let mut pods = node.into_iter().flat_map(|node| &node.pod_cidrs);
    let mut own =
        node.into_iter().flat_map(|node| &node.addresses).chain(world.local_addresses.iter().flatten());
    pods.any(|net| net.contains(&address)) || own.any(|own| *own == address)
}

fn is_bound_to_link(address: &IpAddr) -> bool {
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    address.is_loopback() || link_local
}

const fn kind(kind: FrontendKind) -> Kind {
    match kind {
        FrontendKind::ClusterIp => Kind::ClusterIp,
        FrontendKind::NodePort => Kind::NodePort,
        FrontendKind::ExternalIp => Kind::ExternalIp,
        FrontendKind::LoadBalancer => Kind::LoadBalancer,
    }
}
