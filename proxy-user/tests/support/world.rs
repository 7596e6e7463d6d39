//! The objects that exist.

use super::Model;
use shunt::model::{EndpointSlice, Event, Node, ObjectName, Service, ServiceCidr};
use smol_str::SmolStr;
use std::{collections::BTreeMap, net::IpAddr};

#[derive(Clone, Default, Debug)]
pub struct World {
    pub services: BTreeMap<ObjectName, Service>,
    pub slices: BTreeMap<ObjectName, EndpointSlice>,
    pub nodes: BTreeMap<SmolStr, Node>,
    pub service_cidrs: BTreeMap<SmolStr, ServiceCidr>,
    pub local_addresses: Option<Vec<IpAddr>>,
}

impl World {
    pub fn apply(&mut self, event: &Event) {
        match event.clone() {
            Event::ServiceApplied(service) => drop(self.services.insert(service.name.clone(), service)),
            Event::ServiceDeleted(name) => drop(self.services.remove(&name)),
            Event::SliceApplied(slice) => drop(self.slices.insert(slice.name.clone(), slice)),
            Event::SliceDeleted(name) => drop(self.slices.remove(&name)),
            Event::NodeApplied(node) => drop(self.nodes.insert(node.name.clone(), node)),
            Event::NodeDeleted(name) => drop(self.nodes.remove(&name)),
            Event::ServiceCidrApplied(cidr) => drop(self.service_cidrs.insert(cidr.name.clone(), cidr)),
            Event::ServiceCidrDeleted(name) => drop(self.service_cidrs.remove(&name)),
            Event::LocalAddresses(addresses) => self.local_addresses = Some(addresses),
        }
    }

    /// One event per object: what a first complete list would bring.
    pub fn list(&self) -> Vec<Event> {
        let mut events: Vec<_> = self.slices.values().cloned().map(Event::SliceApplied).collect();
        events.extend(self.services.values().cloned().map(Event::ServiceApplied));
        events.extend(self.nodes.values().cloned().map(Event::NodeApplied));
        events.extend(self.service_cidrs.values().cloned().map(Event::ServiceCidrApplied));
        events.extend(self.local_addresses.clone().map(Event::LocalAddresses));
        events
    }

    /// One delete per object.
    pub fn deletions(&self) -> Vec<Event> {
        let mut events: Vec<_> = self.services.keys().cloned().map(Event::ServiceDeleted).collect();
        events.extend(self.slices.keys().cloned().map(Event::SliceDeleted));
        events.extend(self.nodes.keys().cloned().map(Event::NodeDeleted));
        events.extend(self.service_cidrs.keys().cloned().map(Event::ServiceCidrDeleted));
        events.extend(self.local_addresses.iter().map(|_| Event::LocalAddresses(Vec::new())));
        events
    }

    /// What the rules make of it.
    pub fn model(&self) -> Model {
        Model::of(self)
    }
}
