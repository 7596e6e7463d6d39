//! Tables and clients for tests: what the kernel's maps hold, in plain collections.

use proxy_common::{
    abi::{
        Address, AffinityClient, AffinityEntry, AffinityKey, BackendEntry, BackendFlags, BackendRef, Counter,
        EndpointSet, FrontendFlags, FrontendKey4, FrontendKey6, FrontendValue, NodeFlags, ReverseEntry,
        Scope, ServiceEntry, ServiceFlags, SocketKey, SocketPeer, TraceEvent,
    },
    datapath::{Client, Dial, Full, Origin, Tables},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

#[derive(Default)]
pub struct Fake {
    pub frontends4: HashMap<FrontendKey4, FrontendValue>,
    pub frontends6: HashMap<FrontendKey6, FrontendValue>,
    pub services: Vec<ServiceEntry>,
    pub slots: Vec<BackendRef>,
    pub backends: Vec<BackendEntry>,
    /// Clients that SOURCE_RANGES names, each by its own address.
    pub source_ranges: Vec<(u32, Address)>,
    /// Addresses that NETWORKS names.
    pub networks: HashMap<Address, u32>,
    pub node: NodeFlags,
    pub udp_flows: RefCell<HashMap<SocketKey, BackendRef>>,
    pub reverse: RefCell<HashMap<SocketKey, ReverseEntry>>,
    pub affinities: RefCell<HashMap<AffinityKey, AffinityEntry>>,
    pub counters: RefCell<HashMap<Counter, u64>>,
    /// Flows by service port.
    pub flows: RefCell<HashMap<u32, u64>>,
    /// Somebody watches.
    pub watched: bool,
    /// What was shown.
    pub events: RefCell<Vec<TraceEvent>>,
    pub random: Cell<u32>,
    pub now: Cell<u64>,
    /// The next frontend look-up finds this: an element that another key was given meanwhile.
    pub given_away: Cell<Option<FrontendValue>>,
    /// REVERSE takes nothing.
    pub reverse_full: bool,
    /// AFFINITY takes nothing.
    pub affinity_full: bool,
}

/// A socket that is about to dial: its source address is not chosen yet.
#[derive(Clone, Copy)]
pub struct Socket {
    pub origin: Origin,
    /// Cookie of its network namespace.
    pub namespace: u64,
}

/// A socket in a pod.
pub const POD: Socket = Socket { origin: Origin::Pod, namespace: 7 };
/// A socket of another pod.
pub const OTHER_POD: Socket = Socket { origin: Origin::Pod, namespace: 8 };
/// A socket in the node's own network namespace.
pub const NODE: Socket = Socket { origin: Origin::Node, namespace: 1 };

impl Client for Socket {
    fn origin(&self) -> Origin {
        self.origin
    }
    fn address(&self) -> Option<Address> {
        None
    }
    fn affinity(&self) -> AffinityClient {
        AffinityClient::namespace(self.namespace)
    }
}

pub fn ip(address: &str) -> Address {
    address.parse::<IpAddr>().unwrap().into()
}

pub fn peer(address: &str) -> SocketPeer {
    let address: SocketAddr = address.parse().unwrap();
    SocketPeer::new(address.ip().into(), address.port().to_be())
}

pub fn dial(cookie: u64, address: &str, protocol: u8) -> Dial {
    Dial { cookie, peer: peer(address), protocol }
}

impl Fake {
    /// Adds a service port with its ClusterIP frontend; returns its index.
    pub fn serve(&mut self, frontend: &str, protocol: u8, cluster: &[&str], local: &[&str]) -> u32 {
        let service = self.services.len() as u32;
        let cluster = self.set(service, cluster, BackendFlags::IN_CLUSTER);
        let local = self.set(service, local, BackendFlags::IN_LOCAL);
        self.services.push(ServiceEntry { cluster, local, ..ServiceEntry::default() });
        self.frontend(service, FrontendFlags::CLUSTER_IP, frontend, protocol);
        self.put(peer(frontend).address, 0, 0, Scope::Address, 0, FrontendFlags::ADDRESS_ONLY);
        service
    }

    /// Adds a frontend of a service port; of a NodePort, whatever address stands there.
    pub fn frontend(&mut self, service: u32, kind: FrontendFlags, frontend: &str, protocol: u8) {
        let SocketPeer { address, port, .. } = peer(frontend);
        if kind == FrontendFlags::NODE_PORT {
            self.put(address.unspecified(), port, protocol, Scope::Node, service, kind);
        } else {
            self.put(address, port, protocol, Scope::Exact, service, kind);
        }
    }

    /// Makes an address this node's, where NodePorts answer.
    pub fn node_address(&mut self, address: &str) {
        self.put(ip(address), 0, 0, Scope::Address, 0, FrontendFlags::NODE_ADDRESS);
    }

    pub fn policy(&mut self, service: u32, flags: ServiceFlags) {
        self.services[service as usize].flags = flags;
    }

    fn set(&mut self, service: u32, endpoints: &[&str], member: BackendFlags) -> EndpointSet {
        let set = EndpointSet::new(self.slots.len() as u32, endpoints.len() as u32);
        for endpoint in endpoints {
            let index = self.find(service, endpoint).unwrap_or_else(|| {
                let SocketPeer { address, port, .. } = peer(endpoint);
                let flags = BackendFlags::LIVE;
                self.backends.push(BackendEntry { address, port, flags, service, ..Default::default() });
                self.backends.len() - 1
            });
            self.backends[index].flags |= member;
            self.slots.push(BackendRef::new(index as u32, 0));
        }
        set
    }

    fn find(&self, service: u32, endpoint: &str) -> Option<usize> {
        let SocketPeer { address, port, .. } = peer(endpoint);
        self.backends.iter().position(|b| b.service == service && b.address == address && b.port == port)
    }

    fn put(&mut self, ip: Address, port: u16, protocol: u8, scope: Scope, service: u32, kind: FrontendFlags) {
        let scope = scope as u8;
        if let Some(address) = ip.v4_word() {
            let key = FrontendKey4 { address, port, protocol, scope };
            self.frontends4.insert(key, FrontendValue::new(service, kind, key.check()));
        } else {
            let key = FrontendKey6 { address: ip.words, port, protocol, scope };
            self.frontends6.insert(key, FrontendValue::new(service, kind, key.check()));
        }
    }

    /// The agent says what a backend is from now on: [`BackendFlags::LIVE`] alone, it left every set.
    pub fn becomes(&mut self, service: u32, endpoint: &str, flags: BackendFlags) {
        let index = self.find(service, endpoint).unwrap();
        self.backends[index].flags = flags;
    }

    /// The agent frees a backend: its index gets the next generation.
    pub fn retire(&mut self, service: u32, endpoint: &str) {
        let index = self.find(service, endpoint).unwrap();
        self.backends[index].generation += 1;
        self.backends[index].flags = BackendFlags::default();
    }

    /// Publishes other endpoints of the cluster set, which the service port has already.
    pub fn cluster_set(&mut self, service: u32, endpoints: &[&str]) {
        self.services[service as usize].cluster = self.set(service, endpoints, BackendFlags::IN_CLUSTER);
    }

    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters.borrow().get(&counter).copied().unwrap_or(0)
    }

    /// Everything that was counted.
    pub fn counts(&self) -> Vec<(Counter, u64)> {
        let mut counts: Vec<_> = self.counters.borrow().iter().map(|(counter, n)| (*counter, *n)).collect();
        counts.sort_unstable();
        counts
    }
}

impl Tables for Fake {
    fn frontend4(&self, key: &FrontendKey4) -> Option<FrontendValue> {
        self.given_away.take().or_else(|| self.frontends4.get(key).copied())
    }
    fn frontend6(&self, key: &FrontendKey6) -> Option<FrontendValue> {
        self.given_away.take().or_else(|| self.frontends6.get(key).copied())
    }
    fn service_entry(&self, service: u32) -> Option<ServiceEntry> {
        self.services.get(service as usize).copied()
    }
    fn slot(&self, index: u32) -> Option<BackendRef> {
        self.slots.get(index as usize).copied()
    }
    fn backend(&self, index: u32) -> Option<BackendEntry> {
        self.backends.get(index as usize).copied()
    }
    fn udp_flow(&self, key: &SocketKey) -> Option<BackendRef> {
        self.udp_flows.borrow().get(key).copied()
    }
    fn remember_udp_flow(&self, key: &SocketKey, backend: BackendRef) -> Result<(), Full> {
        self.udp_flows.borrow_mut().insert(*key, backend);
        Ok(())
    }
    fn reverse(&self, key: &SocketKey) -> Option<ReverseEntry> {
        self.reverse.borrow().get(key).copied()
    }
    fn remember_reverse(&self, key: &SocketKey, entry: &ReverseEntry) -> Result<(), Full> {
        if self.reverse_full {
            return Err(Full);
        }
        self.reverse.borrow_mut().insert(*key, *entry);
        Ok(())
    }
    fn forget_reverse(&self, key: &SocketKey) {
        self.reverse.borrow_mut().remove(key);
    }
    fn affinity(&self, key: &AffinityKey) -> Option<AffinityEntry> {
        self.affinities.borrow().get(key).copied()
    }
    fn remember_affinity(&self, key: &AffinityKey, entry: &AffinityEntry) -> Result<(), Full> {
        if self.affinity_full {
            return Err(Full);
        }
        self.affinities.borrow_mut().insert(*key, *entry);
        Ok(())
    }
    fn in_source_ranges(&self, service: u32, source: &Address) -> bool {
        self.source_ranges.contains(&(service, *source))
    }
    fn network(&self, address: &Address) -> Option<u32> {
        self.networks.get(address).copied()
    }
    fn node_flags(&self) -> NodeFlags {
        self.node
    }
    fn now(&self) -> u64 {
        self.now.get()
    }
    fn random(&self) -> u32 {
        self.random.get()
    }
    fn count(&self, counter: Counter) {
        *self.counters.borrow_mut().entry(counter).or_default() += 1;
    }
    fn count_flow(&self, service: u32) {
        *self.flows.borrow_mut().entry(service).or_default() += 1;
    }
    fn watched(&self) -> bool {
        self.watched
    }
    fn show(&self, build: impl FnOnce() -> TraceEvent) {
        assert!(self.watched, "nobody watches");
        self.events.borrow_mut().push(build());
    }
}
