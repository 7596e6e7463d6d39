//! A small world of Services, EndpointSlices and nodes for property tests: random events, and a plain model
//! of what a node should do, written from the rules and without looking at the engine.
#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]

mod allowed;
mod events;
mod model;
pub mod plain;
mod recorder;
mod verdict;
mod world;

use shunt::{
    model::Protocol,
    view::{PortView, decode},
    writer::{Capacities, MapReader},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

pub use allowed::{Allowed, Dialled, allowed, dialled};
pub use events::{NODE, cluster_ip, event, pod_ip};
pub use model::{Kind, Model, Owner, PortModel};
pub use recorder::Recorder;
pub use verdict::{Expected, Probe, probes};
pub use world::World;

/// Room for more than the small world can fill.
pub const ROOMY: Capacities = Capacities {
    frontends: 256,
    services: 64,
    slots: 1_024,
    backends: 512,
    name_cells: 1_024,
    sockets: 16,
    affinities: 16,
    flows: 1_024,
    prefixes: 128,
};

/// What the maps hold, without indices: two maps that serve alike compare equal.
pub fn content(maps: &impl MapReader) -> Vec<PortView> {
    let mut ports = decode(maps).unwrap();
    ports.iter_mut().for_each(|port| port.index = 0);
    ports
}

/// What each address and port leads to, cluster policy taken for granted.
pub fn offered(maps: &impl MapReader) -> BTreeMap<(SocketAddr, Protocol), BTreeSet<SocketAddr>> {
    let mut offer = BTreeMap::new();
    for port in decode(maps).unwrap() {
        let protocol = port.id.as_ref().unwrap().protocol;
        for frontend in port.frontends {
            let address = SocketAddr::new(frontend.address.unwrap(), frontend.port);
            offer.insert((address, protocol), port.cluster.iter().copied().collect());
        }
    }
    offer
}
