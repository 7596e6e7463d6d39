//! Clusters of any size as decoded model objects: the same objects every time, none of them stored.

use shunt::{
    model::{Endpoint, EndpointSlice, Event, Family, ObjectName, Protocol, Service, ServicePort, SlicePort},
    writer::Capacities,
};
use std::net::Ipv4Addr;

/// The node whose maps are programmed; one endpoint in [`NODES`] runs on it.
pub const NODE: &str = "node-0";

/// Nodes of a cluster.
const NODES: u32 = 1_000;

/// Services of a namespace.
const NAMESPACE_SIZE: u32 = 200;

/// Endpoints of a slice: `--max-endpoints-per-slice` of the endpoint slice controller.
const SLICE_SIZE: u32 = 100;

/// The first ClusterIP: 10.96.0.1, as kubeadm has it. They go on up to the end of 10.0.0.0/9.
const FIRST_CLUSTER_IP: u32 = u32::from_be_bytes([10, 96, 0, 1]);

/// The first pod address: 10.128.0.1. They go on up to the end of 10.128.0.0/9.
const FIRST_POD_IP: u32 = u32::from_be_bytes([10, 128, 0, 1]);

/// Services with one endpoint count, by number from 0 on.
#[derive(Clone, Debug)]
pub struct SampleCluster {
    services: u32,
    endpoints: u32,
    ports: Vec<Port>,
    /// Endpoints of every service; empty where each service has its own.
    shared: Vec<Ipv4Addr>,
    /// Node of every endpoint; `None` spreads them.
    node: Option<&'static str>,
}

/// A port of every service.
#[derive(Clone, Copy, Debug)]
pub struct Port {
    /// Name.
    pub name: &'static str,
    /// Protocol.
    pub protocol: Protocol,
    /// What clients dial.
    pub port: u16,
    /// What endpoints listen on.
    pub target: u16,
}

/// The port of services that have one.
const HTTP: Port = Port { name: "http", protocol: Protocol::Tcp, port: 80, target: 8080 };

impl SampleCluster {
    /// `services` services with one TCP port and `endpoints` endpoints of their own each.
    #[must_use]
    pub fn new(services: u32, endpoints: u32) -> Self {
        Self { services, endpoints, ports: vec![HTTP], shared: Vec::new(), node: None }
    }

    /// The same number of services, with these ports and all with these endpoints.
    #[must_use]
    pub fn shared(services: u32, ports: Vec<Port>, endpoints: Vec<Ipv4Addr>) -> Self {
        Self { services, endpoints: endpoints.len() as u32, ports, shared: endpoints, node: None }
    }

    /// The same with all endpoints on one node.
    #[must_use]
    pub fn on_node(self, node: &'static str) -> Self {
        Self { node: Some(node), ..self }
    }

    /// Number of services.
    #[must_use]
    pub const fn services(&self) -> u32 {
        self.services
    }

    /// Number of endpoints of a service.
    #[must_use]
    pub const fn endpoints(&self) -> u32 {
        self.endpoints
    }

    /// Number of ports of a service.
    #[must_use]
    pub fn ports(&self) -> u32 {
        self.ports.len() as u32
    }

    /// Maps with room for it, and not smaller than what users get without asking.
    #[must_use]
    pub fn capacities(&self) -> Capacities {
        let fit = Capacities::for_cluster(self.services * self.ports(), self.endpoints);
        let usual = Capacities::default();
        // Endpoints of this node stand in two sets.
        let sets = if self.node == Some(NODE) { 2 } else { 1 };
        Capacities {
            frontends: fit.frontends.max(usual.frontends),
            services: fit.services.max(usual.services),
            slots: (fit.slots * sets).max(usual.slots),
            backends: fit.backends.max(usual.backends),
            name_cells: fit.name_cells.max(usual.name_cells),
            ..usual
        }
    }

    /// ClusterIP of a service.
    #[must_use]
    pub fn cluster_ip(&self, service: u32) -> Ipv4Addr {
        Ipv4Addr::from(FIRST_CLUSTER_IP + service)
    }

    /// A Service.
    #[must_use]
    pub fn service(&self, service: u32) -> Service {
        let mut object = Service::cluster_ip(name(service), vec![self.cluster_ip(service).into()]);
        object.created = i64::from(service);
        object.ports = self
            .ports
            .iter()
            .map(|p| ServicePort { name: p.name.into(), protocol: p.protocol, port: p.port, node_port: None })
            .collect();
        object
    }

    /// The EndpointSlices of a service.
    pub fn slices(&self, service: u32) -> impl Iterator<Item = EndpointSlice> + '_ {
        (0..self.endpoints.div_ceil(SLICE_SIZE)).map(move |slice| self.slice(service, slice, None))
    }

    /// The slice of a service that lists its endpoint number `endpoint`, without that endpoint.
    #[must_use]
    pub fn slice_without(&self, service: u32, endpoint: u32) -> EndpointSlice {
        self.slice(service, endpoint / SLICE_SIZE, Some(endpoint))
    }

    /// The slice of a service that lists its endpoint number `endpoint`.
    #[must_use]
    pub fn slice_with(&self, service: u32, endpoint: u32) -> EndpointSlice {
        self.slice(service, endpoint / SLICE_SIZE, None)
    }

    /// Every object of the cluster, as a first list reports it.
    pub fn events(&self) -> impl Iterator<Item = Event> + '_ {
        (0..self.services).flat_map(|service| {
            let slices = self.slices(service).map(Event::SliceApplied);
            std::iter::once(Event::ServiceApplied(self.service(service))).chain(slices)
        })
    }

    fn slice(&self, service: u32, slice: u32, without: Option<u32>) -> EndpointSlice {
        let ObjectName { namespace, name } = name(service);
        let places = slice * SLICE_SIZE..self.endpoints.min((slice + 1) * SLICE_SIZE);
        let ports = self.ports.iter();
        EndpointSlice {
            name: ObjectName::new(namespace, format!("{name}-{slice}x7k2")),
            service: name,
            family: Family::V4,
            ports: ports
                .map(|p| SlicePort { name: p.name.into(), protocol: p.protocol, port: p.target })
                .collect(),
            endpoints: places
                .filter(|place| Some(*place) != without)
                .map(|place| self.endpoint(service, place))
                .collect(),
        }
    }

    fn endpoint(&self, service: u32, place: u32) -> Endpoint {
        let pod = service * self.endpoints + place;
        let address = match self.shared.get(place as usize) {
            Some(address) => *address,
            None => Ipv4Addr::from(FIRST_POD_IP + pod),
        };
        // Neighbours are spread over the nodes, as a scheduler would.
        let spread = || format!("node-{}", pod.wrapping_mul(7_919) % NODES).into();
        let node = self.node.map_or_else(spread, Into::into);
        Endpoint { node: Some(node), ..Endpoint::ready(address.into()) }
    }
}

fn name(service: u32) -> ObjectName {
    ObjectName::new(format!("team-{}", service / NAMESPACE_SIZE), format!("service-{service}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shunt::{
        engine::{Engine, Rules},
        writer::MemoryMaps,
    };
    use std::collections::BTreeSet;

    #[test]
    fn every_endpoint_is_another_pod_and_every_service_another_address() {
        let cluster = SampleCluster::new(300, 250);
        let addresses = |without| -> Vec<_> {
            let of = |s| cluster.slices(s).flat_map(|slice| slice.endpoints).map(|e| e.address);
            (0..300).filter(|s| Some(*s) != without).flat_map(of).collect()
        };
        let pods: BTreeSet<_> = addresses(None).into_iter().collect();
        assert_eq!(pods.len(), 75_000);
        assert_eq!(addresses(Some(7)).len(), 74_750);
        let services: BTreeSet<_> = (0..300).map(|s| cluster.cluster_ip(s)).collect();
        assert_eq!(services.len(), 300);
        assert_eq!(cluster.slices(3).count(), 3);
        assert_eq!(cluster.slice_with(3, 130), cluster.slices(3).nth(1).unwrap());
        assert_eq!(cluster.slice_without(3, 130).endpoints.len(), 99);
    }

    #[test]
    fn a_cluster_fits_into_the_maps_made_for_it() {
        let cluster = SampleCluster::new(9_000, 10);
        let mut engine = Engine::new(NODE, Rules::default(), MemoryMaps::new(&cluster.capacities())).unwrap();
        cluster.events().for_each(|event| engine.apply(event));
        let report = engine.sync().unwrap();
        assert_eq!((report.services, report.puts, report.newly_unplaced), (9_000, 18_000, vec![]));
        assert_eq!(engine.usage().backends, 90_000);
    }
}
