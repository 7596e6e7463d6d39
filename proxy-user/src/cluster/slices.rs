//! EndpointSlices come, change and go.

use super::{
    Cluster, KnownService, KnownSlice, ListedEndpoint, ServiceId, endpoint::known_endpoints,
    named_slab::NamedSlab,
};
use crate::model::{Endpoint, EndpointSlice, Family, ObjectName};

/// The slices of a service and what they list.
#[derive(Clone, Copy, Debug)]
pub struct KnownSlices<'a> {
    service: &'a KnownService,
    slices: &'a NamedSlab<KnownSlice>,
}

impl<'a> KnownSlices<'a> {
    pub(super) const fn new(service: &'a KnownService, slices: &'a NamedSlab<KnownSlice>) -> Self {
        Self { service, slices }
    }

    /// The slices, as endpoints number them.
    pub fn iter(self) -> impl Iterator<Item = &'a KnownSlice> + Clone {
        self.service.slices.iter().map(|place| &self.slices[*place])
    }

    /// The endpoints of all of them, ascending by address. Which of two entries for one address comes first
    /// does not depend on which slice came first: it is that of the smaller slice name.
    #[must_use]
    pub fn endpoints(self) -> &'a [ListedEndpoint] {
        &self.service.endpoints
    }
}

impl Cluster {
    pub(super) fn apply_slice(&mut self, slice: EndpointSlice) {
        let Some(place) = self.slices.find(&slice.name) else {
            return self.insert_slice(slice);
        };
        let known = &mut self.slices[place];
        let (service, number) = (known.service, known.number);
        let owner = &self.services[service.0].name;
        if owner.namespace != slice.name.namespace || owner.name != slice.service {
            // The label names another service now.
            self.delete_slice(&slice.name);
            return self.insert_slice(slice);
        }
        let EndpointSlice { family, ports, endpoints, .. } = slice;
        let mut changed = std::mem::replace(&mut known.family, family) != family;
        if *known.ports != *ports {
            let ports = self.port_lists.share(ports);
            self.port_lists.release(std::mem::replace(&mut known.ports, ports));
            changed = true;
        }
        changed |= self.replace_endpoints(service, number, family, endpoints);
        if changed {
            self.mark_dirty(service);
        }
    }

    fn insert_slice(&mut self, slice: EndpointSlice) {
        let EndpointSlice { name, service, family, ports, endpoints } = slice;
        let service = self.id_of(&ObjectName { namespace: name.namespace.clone(), name: service });
        let numbered = &mut self.services[service.0].slices;
        let number = numbered.len() as u32;
        let ports = self.port_lists.share(ports);
        numbered.push(self.slices.insert(KnownSlice { name, service, number, family, ports }));
        self.replace_endpoints(service, number, family, endpoints);
        self.mark_dirty(service);
    }

    pub(super) fn delete_slice(&mut self, name: &ObjectName) {
        if let Some(place) = self.slices.find(name) {
            let KnownSlice { service, number, ports, .. } = self.slices.remove(place);
            self.port_lists.release(ports);
            let KnownService { slices, endpoints, .. } = &mut self.services[service.0];
            slices.swap_remove(number as usize);
            if let Some(moved) = slices.get(number as usize) {
                self.slices[*moved].number = number;
            }
            endpoints.remove(number, slices.len() as u32, |hints| self.hints.release(hints));
            self.mark_dirty(service);
        }
    }

    /// False if the slice listed these before.
    fn replace_endpoints(
        &mut self,
        service: ServiceId,
        number: u32,
        family: Family,
        listed: Vec<Endpoint>,
    ) -> bool {
        let zone = self.node.as_ref().and_then(|node| node.zone.as_deref());
        let (hints, node) = (&mut self.hints, self.node_name.as_str());
        let listed = known_endpoints(listed, family, node, |list| hints.share(list, node, zone));
        let KnownService { slices, endpoints, .. } = &mut self.services[service.0];
        let name = |number: u32| &self.slices[slices[number as usize]].name;
        let by_name = |one, other| name(one).cmp(name(other));
        endpoints.replace(number, &listed, by_name, |former| hints.release(former))
    }
}
