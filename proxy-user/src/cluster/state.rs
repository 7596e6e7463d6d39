//! Services, slices and this node; and which services changed since they were last taken.

use super::{
    KnownSlice, KnownSlices,
    endpoints::Endpoints,
    hints::HintLists,
    named_slab::{Named, NamedSlab},
    port_lists::PortLists,
};
use crate::model::{Event, Family, Node, ObjectName, Service, ServiceCidr, ServiceType};
use ipnet::IpNet;
use smallvec::SmallVec;
use smol_str::SmolStr;
use std::{collections::VecDeque, net::IpAddr};

/// A service in the cluster's memory: a Service, or the slices of one that is not known (yet).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ServiceId(pub(super) u32);

impl ServiceId {
    /// Place in arrays that run beside the cluster's; reused after [`Cluster::forget`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A service with its slices.
#[derive(Debug)]
pub struct KnownService {
    /// Namespace and name.
    pub name: ObjectName,
    /// The Service; absent while only slices are known.
    pub service: Option<Service>,
    /// Its slices, by place in the cluster's memory. Their order here numbers them.
    pub(super) slices: SmallVec<[u32; 4]>,
    /// What they list.
    pub(super) endpoints: Endpoints,
    /// It stands in the queue.
    queued: bool,
}

impl KnownService {
    fn new(name: ObjectName) -> Self {
        let (slices, endpoints) = (SmallVec::new(), Endpoints::default());
        Self { name, service: None, slices, endpoints, queued: false }
    }
}

impl Named for KnownService {
    fn name(&self) -> &ObjectName {
        &self.name
    }
}

impl Named for KnownSlice {
    fn name(&self) -> &ObjectName {
        &self.name
    }
}

/// Everything that sources have reported, as far as this node needs it.
#[derive(Debug)]
pub struct Cluster {
    pub(super) node_name: SmolStr,
    pub(super) node: Option<Node>,
    local_addresses: Option<Vec<IpAddr>>,
    service_cidrs: Vec<ServiceCidr>,
    pub(super) services: NamedSlab<KnownService>,
    pub(super) slices: NamedSlab<KnownSlice>,
    pub(super) port_lists: PortLists,
    pub(super) hints: HintLists,
    /// Services that changed, oldest change first. A service stands in it once, however often it
    /// changes while it waits.
    queue: VecDeque<ServiceId>,
}

impl Cluster {
    /// An empty cluster, seen from the node `node_name`.
    pub fn new(node_name: impl Into<SmolStr>) -> Self {
        Self {
            node_name: node_name.into(),
            node: None,
            local_addresses: None,
            service_cidrs: Vec::new(),
            services: NamedSlab::new(),
            slices: NamedSlab::new(),
            port_lists: PortLists::default(),
            hints: HintLists::default(),
            queue: VecDeque::new(),
        }
    }

    /// Takes a change in. An object that did not change costs a comparison and nothing else.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::ServiceApplied(service) => self.apply_service(service),
            Event::ServiceDeleted(name) => self.delete_service(&name),
            Event::SliceApplied(slice) => self.apply_slice(slice),
            Event::SliceDeleted(name) => self.delete_slice(&name),
            Event::NodeApplied(node) if node.name == self.node_name => self.set_node(Some(node)),
            Event::NodeDeleted(name) if name == self.node_name => self.set_node(None),
            Event::NodeApplied(_) | Event::NodeDeleted(_) => {}
            Event::ServiceCidrApplied(cidr) => {
                self.service_cidrs.retain(|known| known.name != cidr.name);
                self.service_cidrs.push(cidr);
            }
            Event::ServiceCidrDeleted(name) => self.service_cidrs.retain(|known| known.name != name),
            Event::LocalAddresses(addresses) => self.local_addresses = Some(addresses),
        }
    }

    /// This node's name.
    #[must_use]
    pub fn node_name(&self) -> &str {
        &self.node_name
    }

    /// This node's object, once a source has reported it.
    #[must_use]
    pub const fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    /// The addresses of this node's interfaces, once a source has reported them.
    #[must_use]
    pub fn local_addresses(&self) -> Option<&[IpAddr]> {
        self.local_addresses.as_deref()
    }

    /// Where ClusterIPs come from, as far as it was reported.
    pub fn service_cidrs(&self) -> impl Iterator<Item = &IpNet> {
        self.service_cidrs.iter().flat_map(|cidr| &cidr.cidrs)
    }

    /// What the hints of endpoints say to this node.
    #[must_use]
    pub const fn hints(&self) -> &HintLists {
        &self.hints
    }

    /// Whether a Service asks for a NodePort.
    #[must_use]
    pub fn has_node_ports(&self) -> bool {
        let asks = |service: &Service| {
            matches!(service.kind, ServiceType::NodePort | ServiceType::LoadBalancer)
                && service.ports.iter().any(|port| port.node_port.is_some())
        };
        self.services.iter().any(|(_, known)| known.service.as_ref().is_some_and(asks))
    }

    /// Takes the service that has waited longest out of the queue.
    pub fn next_dirty(&mut self) -> Option<ServiceId> {
        let id = self.queue.pop_front()?;
        self.services[id.0].queued = false;
        Some(id)
    }

    /// Number of services that wait.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Those that wait.
    pub fn dirty(&self) -> impl Iterator<Item = ServiceId> {
        self.queue.iter().copied()
    }

    /// Every service of which something is known.
    pub fn services(&self) -> impl Iterator<Item = &KnownService> {
        self.services.iter().map(|(_, known)| known)
    }

    /// Puts a service into the queue again.
    pub fn mark_dirty(&mut self, id: ServiceId) {
        if let Some(service) = self.services.get_mut(id.0)
            && !std::mem::replace(&mut service.queued, true)
        {
            self.queue.push_back(id);
        }
    }

    /// Puts every service into the queue again.
    pub fn mark_all_dirty(&mut self) {
        let ids: Vec<_> = self.services.iter().map(|(id, _)| id).collect();
        ids.into_iter().for_each(|id| self.mark_dirty(ServiceId(id)));
    }

    /// A service.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> Option<&KnownService> {
        self.services.get(id.0)
    }

    /// The slices of a service.
    #[must_use]
    pub const fn slices<'a>(&'a self, service: &'a KnownService) -> KnownSlices<'a> {
        KnownSlices::new(service, &self.slices)
    }

    /// Drops a service of which nothing is known any more; false while something is.
    pub fn forget(&mut self, id: ServiceId) -> bool {
        let empty = self.service(id).is_some_and(|s| s.service.is_none() && s.slices.is_empty() && !s.queued);
        if empty {
            self.services.remove(id.0);
        }
        empty
    }

    /// True if no object is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.slices.is_empty() && self.hints.is_empty()
    }

    /// Another zone changes what every hint says; another primary address, whom source ranges let in.
    fn set_node(&mut self, node: Option<Node>) {
        let before = std::mem::replace(&mut self.node, node);
        let zone = |node: &Option<Node>| node.as_ref().and_then(|node| node.zone.clone());
        let primary = |node: &Option<Node>| Family::BOTH.map(|family| node.as_ref()?.primary(family));
        let now = zone(&self.node);
        let rezoned = zone(&before) != now;
        if rezoned {
            self.hints.rezone(&self.node_name, now.as_deref());
        }
        let moved = primary(&before) != primary(&self.node);
        if rezoned || moved {
            let concerned = |known: &KnownService| {
                rezoned || known.service.as_ref().is_some_and(|service| !service.source_ranges.is_empty())
            };
            let ids: Vec<_> = self.services.iter().filter(|(_, s)| concerned(s)).map(|(id, _)| id).collect();
            ids.into_iter().for_each(|id| self.mark_dirty(ServiceId(id)));
        }
    }

    pub(super) fn id_of(&mut self, name: &ObjectName) -> ServiceId {
        let place = self.services.find(name);
        ServiceId(place.unwrap_or_else(|| self.services.insert(KnownService::new(name.clone()))))
    }

    fn apply_service(&mut self, service: Service) {
        let id = self.id_of(&service.name);
        let known = &mut self.services[id.0];
        if known.service.as_ref() != Some(&service) {
            known.service = Some(service);
            self.mark_dirty(id);
        }
    }

    fn delete_service(&mut self, name: &ObjectName) {
        if let Some(place) = self.services.find(name) {
            self.services[place].service = None;
            self.mark_dirty(ServiceId(place));
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
