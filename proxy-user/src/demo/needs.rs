//! What the acts dial, and what of it is missing: in the manifests, or in the kernel until it is programmed.

use super::{
    Unfit,
    target::{CART, DNS, EMPTY, Named, Target, WEB},
};
use crate::{
    engine::{Engine, Rules},
    model::{Event, Family, Node, Protocol},
    source::manifests::ManifestSet,
    view::{PortView, decode},
    writer::{Capacities, MemoryMaps},
};
use std::path::Path;

/// The lab's node, as the manifests name it.
pub const NODE: &str = "lab-node";

/// A service port that is dialled.
struct Need {
    service: Named,
    protocol: Protocol,
    family: Family,
    /// Somebody serves it, at a NodePort too.
    served: bool,
}

/// Checks what the user gave, before anything is made of it.
///
/// # Errors
/// Where the manifests cannot be found, or the agent would not program what the acts dial.
pub fn check(manifests: &Path) -> anyhow::Result<()> {
    let (_, changes) = ManifestSet::load([manifests])?;
    let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&Capacities::default()))?;
    let mut addressless = Family::BOTH.to_vec();
    for event in changes.events {
        if let Event::NodeApplied(node) = &event
            && node.name == NODE
        {
            addressless = without_address(node);
        }
        engine.apply(event);
    }
    engine.sync()?;
    let mut missing = missing(&decode(engine.writer())?);
    missing.extend(addressless.iter().map(|family| format!("address of Node {NODE} ({family})")));
    if missing.is_empty() { Ok(()) } else { Err(Unfit::Manifests(missing.join(", ")).into()) }
}

/// What the acts dial and is not among these, for people.
pub fn missing(ports: &[PortView]) -> Vec<String> {
    let served = [(WEB, Protocol::Tcp), (CART, Protocol::Tcp), (DNS, Protocol::Tcp), (DNS, Protocol::Udp)];
    let served = served.into_iter().flat_map(|(service, protocol)| {
        Family::BOTH.map(|family| Need { service, protocol, family, served: true })
    });
    let empty = Need { service: EMPTY, protocol: Protocol::Tcp, family: Family::V4, served: false };
    served.chain([empty]).filter_map(|need| need.missing(ports)).collect()
}

impl Need {
    fn missing(&self, ports: &[PortView]) -> Option<String> {
        let Self { service, protocol, family, served } = self;
        let name = format!("Service {service} ({protocol}, {family})");
        let mut targets = ports.iter().filter_map(|port| Target::of(port, *service, |ip| ip.to_string()));
        match targets.find(|target| (target.protocol, target.family) == (*protocol, *family)) {
            None => Some(name),
            Some(_) if !served => None,
            Some(target) if target.backends.is_empty() => Some(format!("endpoint of {name}")),
            Some(target) if target.node_port.is_none() => Some(format!("NodePort of {name}")),
            Some(_) => None,
        }
    }
}

/// The families in which NodePorts would not answer at the node's own address.
fn without_address(node: &Node) -> Vec<Family> {
    Family::BOTH.into_iter().filter(|family| node.primary(*family).is_none()).collect()
}
