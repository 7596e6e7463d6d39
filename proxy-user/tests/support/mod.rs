//! A small world of Services and EndpointSlices for property tests: random events, and a plain
//! model of what a node should offer, written without looking at the engine.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

pub mod plain;
mod recorder;

use proptest::prelude::*;
use shunt::{
    model::{
        Conditions, Endpoint, EndpointSlice, Event, Family, ObjectName, Protocol, Service, ServicePort,
        SlicePort,
    },
    view::{PortView, decode},
    writer::MapReader,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

pub use recorder::Recorder;

pub const NODE: &str = "node-a";
pub const SERVICES: u8 = 4;

/// What a client can dial, and what may answer.
pub type Offer = BTreeMap<(SocketAddr, Protocol), BTreeSet<SocketAddr>>;

pub fn cluster_ip(service: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 96, 0, 10 + service).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 10 + u16::from(service)).into(),
    }
}

pub fn pod_ip(pod: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 244, 0, pod).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 0, u16::from(pod)).into(),
    }
}

/// The three ports that a Service may have: (name, protocol, service port, backend port).
const PORTS: [(&str, Protocol, u16, u16); 3] =
    [("http", Protocol::Tcp, 80, 8080), ("dns", Protocol::Udp, 53, 5353), ("dns", Protocol::Tcp, 53, 5353)];

fn port_subset() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence(vec![0, 1, 2], 0..=3)
}

pub fn service() -> impl Strategy<Value = Service> {
    (0..SERVICES, 0..4_u8, port_subset(), 0..8_u8).prop_map(|(number, families, ports, oddity)| {
        let name = ObjectName::new("default", format!("svc-{number}"));
        let families: &[Family] = match families {
            0 => &[Family::V6],
            1 => &[Family::V4, Family::V6],
            _ => &[Family::V4],
        };
        // Two Services may end up with one address, as when one is deleted and another takes it.
        let address = if oddity == 7 { 0 } else { number };
        let ips = families.iter().map(|family| cluster_ip(address, *family)).collect();
        let mut service = Service::cluster_ip(name, ips);
        service.created = i64::from(number % 3);
        service.headless = oddity == 6;
        service.ports = ports
            .into_iter()
            .map(|p| ServicePort {
                name: PORTS[p].0.into(),
                protocol: PORTS[p].1,
                port: PORTS[p].2,
                node_port: None,
            })
            .collect();
        service
    })
}

pub fn slice() -> impl Strategy<Value = EndpointSlice> {
    let endpoint = (1..10_u8, 0..6_u8, any::<bool>());
    (0..SERVICES, 0..3_u8, any::<bool>(), port_subset(), prop::collection::vec(endpoint, 0..7), 0..9_u16)
        .prop_map(|(service, number, v6, ports, endpoints, shift)| {
            let family = if v6 { Family::V6 } else { Family::V4 };
            EndpointSlice {
                name: ObjectName::new("default", format!("slice-{number}-{family}")),
                service: format!("svc-{service}").into(),
                family,
                ports: ports
                    .into_iter()
                    .map(|p| SlicePort {
                        name: PORTS[p].0.into(),
                        protocol: PORTS[p].1,
                        // Endpoints of one service port may listen on different ports; those of another
                        // service never on the same, so that a foreign one shows.
                        port: PORTS[p].3 + shift / 8 + 100 * u16::from(service),
                    })
                    .collect(),
                endpoints: endpoints
                    .into_iter()
                    .map(|(pod, state, local)| Endpoint {
                        conditions: Conditions {
                            ready: state != 0,
                            serving: state != 1,
                            terminating: state == 0,
                        },
                        node: local.then(|| NODE.into()),
                        ..Endpoint::ready(pod_ip(pod, family))
                    })
                    .collect(),
            }
        })
}

pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => service().prop_map(Event::ServiceApplied),
        1 => (0..SERVICES).prop_map(|n| Event::ServiceDeleted(ObjectName::new("default", format!("svc-{n}")))),
        6 => slice().prop_map(Event::SliceApplied),
        1 => (0..3_u8, any::<bool>()).prop_map(|(n, v6)| {
            let family = if v6 { Family::V6 } else { Family::V4 };
            Event::SliceDeleted(ObjectName::new("default", format!("slice-{n}-{family}")))
        }),
    ]
}

/// The objects that exist.
#[derive(Clone, Default, Debug)]
pub struct World {
    services: BTreeMap<ObjectName, Service>,
    slices: BTreeMap<ObjectName, EndpointSlice>,
}

impl World {
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::ServiceApplied(s) => drop(self.services.insert(s.name.clone(), s.clone())),
            Event::ServiceDeleted(name) => drop(self.services.remove(name)),
            Event::SliceApplied(s) => drop(self.slices.insert(s.name.clone(), s.clone())),
            Event::SliceDeleted(name) => drop(self.slices.remove(name)),
            Event::NodeApplied(_) | Event::NodeDeleted(_) => {}
        }
    }

    /// One event per object: what a first complete list would bring.
    pub fn list(&self) -> Vec<Event> {
        let slices = self.slices.values().cloned().map(Event::SliceApplied);
        slices.chain(self.services.values().cloned().map(Event::ServiceApplied)).collect()
    }

    /// One delete per object.
    pub fn deletions(&self) -> Vec<Event> {
        let services = self.services.keys().cloned().map(Event::ServiceDeleted);
        services.chain(self.slices.keys().cloned().map(Event::SliceDeleted)).collect()
    }

    /// What each address, port and protocol should lead to: the rules, written out plainly.
    pub fn offer(&self) -> Offer {
        let Moment { owners, endpoints, .. } = self.moment();
        owners.into_iter().map(|(address, owner)| (address, endpoints[&owner].clone())).collect()
    }

    /// Who owns which address, and which endpoints each service port has.
    pub fn moment(&self) -> Moment {
        let mut claims: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut moment = Moment::default();
        for service in self.services.values().filter(|s| !s.headless) {
            for ip in &service.cluster_ips {
                for port in &service.ports {
                    let owner = (service.name.clone(), port.name.clone(), port.protocol, Family::of(ip));
                    moment.endpoints.insert(owner.clone(), self.endpoints(&owner));
                    let address = (SocketAddr::new(*ip, port.port), port.protocol);
                    claims.entry(address).or_default().push((service.created, owner));
                }
            }
        }
        for (address, mut claimants) in claims {
            // The older Service has the address, then the one with the smaller name.
            claimants.sort();
            moment.owners.insert(address, claimants[0].1.clone());
            moment.claimants.insert(address, claimants.into_iter().map(|(_, owner)| owner).collect());
        }
        moment
    }

    fn endpoints(&self, (service, port, protocol, family): &Owner) -> BTreeSet<SocketAddr> {
        let mut endpoints = BTreeSet::new();
        for slice in self.slices.values().filter(|s| s.service == service.name && s.family == *family) {
            if let Some(joined) = slice.ports.iter().find(|p| p.name == *port && p.protocol == *protocol) {
                let ready = slice.endpoints.iter().filter(|e| e.conditions.ready);
                endpoints.extend(ready.map(|e| SocketAddr::new(e.address, joined.port)));
            }
        }
        endpoints
    }
}

/// Identity of a service port.
pub type Owner = (ObjectName, smol_str::SmolStr, Protocol, Family);

/// What is true at one time.
#[derive(Clone, Default, Debug)]
pub struct Moment {
    pub owners: BTreeMap<(SocketAddr, Protocol), Owner>,
    /// Every service port that has the right to an address, were it not for the others.
    pub claimants: BTreeMap<(SocketAddr, Protocol), BTreeSet<Owner>>,
    pub endpoints: BTreeMap<Owner, BTreeSet<SocketAddr>>,
}

/// What the maps hold, without indices: two maps that serve alike compare equal.
pub fn content(maps: &impl MapReader) -> Vec<PortView> {
    let mut ports = decode(maps).unwrap();
    ports.iter_mut().for_each(|port| port.index = 0);
    ports
}

/// What the maps offer, by decoding them.
pub fn offered(maps: &impl MapReader) -> Offer {
    let mut offer = Offer::new();
    for port in decode(maps).unwrap() {
        let protocol = port.id.as_ref().unwrap().protocol;
        for frontend in port.frontends {
            let address = SocketAddr::new(frontend.address.unwrap(), frontend.port);
            offer.insert((address, protocol), port.cluster.iter().copied().collect());
        }
    }
    offer
}
