//! Tables for tests: what the kernel's maps hold, in plain collections.

use proxy_common::{
    abi::{
        Address, BackendEntry, BackendRef, Counter, EndpointSet, FrontendFlags, FrontendKey4, FrontendKey6,
        FrontendValue, Scope, ServiceEntry, ServiceFlags, SocketKey, SocketPeer,
    },
    datapath::{Dial, Full, Tables},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
};

#[derive(Default)]
pub struct Fake {
    pub frontends4: HashMap<FrontendKey4, FrontendValue>,
    pub frontends6: HashMap<FrontendKey6, FrontendValue>,
    pub services: Vec<ServiceEntry>,
    pub slots: Vec<BackendRef>,
    pub backends: Vec<BackendEntry>,
    pub udp_flows: RefCell<HashMap<SocketKey, BackendRef>>,
    pub reverse: RefCell<HashMap<SocketKey, SocketPeer>>,
    pub counters: RefCell<HashMap<Counter, u64>>,
    pub random: Cell<u32>,
    /// The next frontend look-up finds this: an element that another key was given meanwhile.
    pub given_away: Cell<Option<FrontendValue>>,
    /// REVERSE takes nothing.
    pub reverse_full: bool,
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
        let cluster = self.set(service, cluster);
        let local = self.set(service, local);
        self.services.push(ServiceEntry { cluster, local, ..ServiceEntry::default() });
        let SocketPeer { address, port, .. } = peer(frontend);
        self.put(address, port, protocol, Scope::Exact, service, FrontendFlags::CLUSTER_IP);
        self.put(address, 0, 0, Scope::Address, 0, FrontendFlags::ADDRESS_ONLY);
        service
    }

    fn set(&mut self, service: u32, endpoints: &[&str]) -> EndpointSet {
        let set = EndpointSet::new(self.slots.len() as u32, endpoints.len() as u32);
        for endpoint in endpoints {
            let SocketPeer { address, port, .. } = peer(endpoint);
            self.slots.push(BackendRef::new(self.backends.len() as u32, 0));
            self.backends.push(BackendEntry { address, port, service, ..BackendEntry::default() });
        }
        set
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

    /// The agent removes a backend: it leaves its set elsewhere, and gets the next generation.
    pub fn retire(&mut self, backend: usize) {
        self.backends[backend].generation += 1;
    }

    pub fn counted(&self, counter: Counter) -> u64 {
        self.counters.borrow().get(&counter).copied().unwrap_or(0)
    }
}

impl Tables for Fake {
    fn frontend4(&self, key: &FrontendKey4) -> Option<FrontendValue> {
        self.given_away.take().or_else(|| self.frontends4.get(key).copied())
    }
    fn frontend6(&self, key: &FrontendKey6) -> Option<FrontendValue> {
        self.given_away.take().or_else(|| self.frontends6.get(key).copied())
    }
    fn service_flags(&self, service: u32) -> Option<ServiceFlags> {
        self.services.get(service as usize).map(|entry| entry.flags)
    }
    fn cluster_set(&self, service: u32) -> Option<EndpointSet> {
        self.services.get(service as usize).map(|entry| entry.cluster)
    }
    fn local_set(&self, service: u32) -> Option<EndpointSet> {
        self.services.get(service as usize).map(|entry| entry.local)
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
    fn reverse(&self, key: &SocketKey) -> Option<SocketPeer> {
        self.reverse.borrow().get(key).copied()
    }
    fn remember_reverse(&self, key: &SocketKey, frontend: &SocketPeer) -> Result<(), Full> {
        if self.reverse_full {
            return Err(Full);
        }
        self.reverse.borrow_mut().insert(*key, *frontend);
        Ok(())
    }
    fn forget_reverse(&self, key: &SocketKey) {
        self.reverse.borrow_mut().remove(key);
    }
    fn random(&self) -> u32 {
        self.random.get()
    }
    fn count(&self, counter: Counter) {
        *self.counters.borrow_mut().entry(counter).or_default() += 1;
    }
}
