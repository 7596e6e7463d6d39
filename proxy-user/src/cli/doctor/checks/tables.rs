//! Whether the maps agree with themselves: every frontend leads to a service port, every set to its endpoints.

use super::some;
use crate::{
    cli::doctor::{
        finding::{Check, State},
        subject::Subject,
    },
    view::{KeyParts, port_id},
    writer::{FrontendKey, MapReader, WriteError},
};
use proxy_common::abi::{EndpointSet, FrontendValue, ServiceEntry};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

/// What does not agree.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Contradictions {
    /// Frontends that lead to no service port.
    pub astray: Vec<String>,
    /// Service ports that no frontend leads to.
    pub unreached: Vec<String>,
    /// Service ports with a set that leads to no endpoints of theirs.
    pub broken: Vec<String>,
}

impl Contradictions {
    /// Reads the maps. They may be written meanwhile: see [`Self::lasting`].
    ///
    /// # Errors
    /// Where the frontends cannot be read.
    pub fn read(maps: &impl MapReader) -> Result<Self, WriteError> {
        let (mut found, mut reached) = (Self::default(), BTreeSet::new());
        for (key, value) in maps.frontends()? {
            if !value.is_of(key.check()) {
                found.astray.push(format!("{} (its value is another key's)", frontend(&key)));
            } else if value.kind().leads_to_service() {
                reached.insert(value.service);
                if let Some(why) = astray(maps, value) {
                    found.astray.push(format!("{} ({why})", frontend(&key)));
                }
            }
        }
        let mut users: BTreeMap<u32, u32> = BTreeMap::new();
        for index in 0..maps.capacities().services {
            let Some(entry) = maps.service(index).filter(|entry| entry.name > 0) else { continue };
            let name = name(maps, index);
            if !reached.contains(&index) {
                found.unreached.push(name.clone());
            }
            let sets = [("cluster", entry.cluster), ("local", entry.local)];
            let wrong = sets.into_iter().find_map(|(which, set)| {
                Some(format!("{name} ({which} set: {})", broken(maps, index, set, &mut users)?))
            });
            found.broken.extend(wrong);
        }
        for list in [&mut found.astray, &mut found.unreached, &mut found.broken] {
            list.sort_unstable();
        }
        Ok(found)
    }

    /// What two looks agree on: a change that was under way at one of them is none.
    pub fn lasting(self, later: &Self) -> Self {
        let both = |one: Vec<String>, other: &[String]| {
            one.into_iter().filter(|text| other.contains(text)).collect()
        };
        Self {
            astray: both(self.astray, &later.astray),
            unreached: both(self.unreached, &later.unreached),
            broken: both(self.broken, &later.broken),
        }
    }

    /// Whether everything agrees.
    pub const fn is_empty(&self) -> bool {
        self.astray.is_empty() && self.unreached.is_empty() && self.broken.is_empty()
    }
}

/// Says what does not agree.
pub fn tables(subject: &Subject, ports: usize, found: &Contradictions) -> Check {
    let mut check = Check::new("tables");
    check.fact("service_ports", ports);
    let Contradictions { astray, unreached, broken } = found;
    let repair = subject.command("doctor --repair");
    let repair = format!("{repair}, with --kubeconfig or --manifests to know what is missing");
    for (id, list, what, why) in [
        ("frontend-astray", astray, "frontends lead nowhere", "whoever dials them is refused or misled"),
        ("service-unreached", unreached, "service ports have no frontend", "nobody can reach them"),
        (
            "set-broken",
            broken,
            "service ports have a set that is not theirs",
            "connections go to endpoints that are gone, or another Service's",
        ),
    ] {
        check.fact(id, list.clone());
        if !list.is_empty() {
            check.find(
                (State::Degraded, id),
                format!("{} {what}: {}", list.len(), some(list)),
                why,
                repair.as_str(),
            );
        }
    }
    let agree = if found.is_empty() { "all agree" } else { "NOT all agree" };
    check.see(format!("{ports} service ports; frontends, sets, slots and backends {agree}"));
    check
}

/// Why a frontend's value leads to no service port.
fn astray(maps: &impl MapReader, value: FrontendValue) -> Option<String> {
    let index = value.service;
    match maps.service(index) {
        None => Some(format!("service {index} lies outside of SERVICES")),
        Some(ServiceEntry { name: 0, .. }) => Some(format!("service {index} is empty")),
        Some(_) if port_id(maps, index).is_none() => Some(format!("service {index} has no name")),
        Some(_) => None,
    }
}

/// Why a set does not lead to endpoints of its service port.
fn broken(
    maps: &impl MapReader,
    service: u32,
    set: EndpointSet,
    users: &mut BTreeMap<u32, u32>,
) -> Option<String> {
    let (base, count) = (set.base(), set.count());
    let end = base.checked_add(count).filter(|end| *end <= maps.capacities().slots);
    let Some(end) = end else { return Some(format!("{count} slots from {base} on, beyond SLOTS")) };
    for slot in base..end {
        let Some(named) = maps.slot(slot) else { return Some(format!("slot {slot} lies outside")) };
        let Some(entry) = maps.backend(named.index()) else {
            return Some(format!("slot {slot} leads to backend {}, outside of BACKENDS", named.index()));
        };
        if entry.generation != named.generation() {
            return Some(format!("slot {slot} leads to backend {}, which was freed since", named.index()));
        }
        if entry.service != service || *users.entry(named.index()).or_insert(service) != service {
            return Some(format!("backend {} is another service port's", named.index()));
        }
        if entry.port == 0 {
            return Some(format!("backend {} is empty", named.index()));
        }
    }
    None
}

fn name(maps: &impl MapReader, index: u32) -> String {
    port_id(maps, index)
        .map_or_else(|| format!("service {index}, whose name cannot be read"), |id| id.to_string())
}

fn frontend(key: &FrontendKey) -> String {
    let parts = KeyParts::of(key);
    match parts.ip() {
        Some(address) => format!("{}/{}", SocketAddr::new(address, parts.port), parts.protocol),
        None => format!("NodePort {}/{}", parts.port, parts.protocol),
    }
}
