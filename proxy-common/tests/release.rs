//! What a socket leaves behind in REVERSE when it ends.

use proxy_common::{
    abi::{
        Address, BackendEntry, BackendRef, Counter, EndpointSet, FrontendFlags, FrontendKey4, FrontendKey6,
        FrontendValue, Scope, ServiceFlags, SocketKey, SocketPeer, TCP,
    },
    datapath::{Decision, Dial, Full, Tables, connect, release, restore_peer_name},
};
use std::{cell::RefCell, collections::HashMap, net::Ipv4Addr};

/// One IPv4 service port with one backend, and a real REVERSE.
#[derive(Default)]
struct OneService {
    reverse: RefCell<HashMap<SocketKey, SocketPeer>>,
}

fn frontend() -> SocketPeer {
    SocketPeer::new(Ipv4Addr::new(10, 96, 0, 1).into(), 80_u16.to_be())
}

fn backend() -> SocketPeer {
    SocketPeer::new(Ipv4Addr::new(10, 1, 2, 3).into(), 8080_u16.to_be())
}

impl Tables for OneService {
    fn frontend4(&self, key: &FrontendKey4) -> Option<FrontendValue> {
        let ours = key.scope == Scope::Exact as u8
            && key.protocol == TCP
            && SocketPeer::new(Address::from_v4_word(key.address), key.port) == frontend();
        ours.then_some(FrontendValue { service: 0, flags: FrontendFlags::CLUSTER_IP })
    }
    fn frontend6(&self, _: &FrontendKey6) -> Option<FrontendValue> {
        None
    }
    fn service_flags(&self, _: u32) -> Option<ServiceFlags> {
        Some(ServiceFlags::default())
    }
    fn cluster_set(&self, _: u32) -> Option<EndpointSet> {
        Some(EndpointSet::new(0, 1))
    }
    fn local_set(&self, _: u32) -> Option<EndpointSet> {
        Some(EndpointSet::EMPTY)
    }
    fn slot(&self, index: u32) -> Option<BackendRef> {
        (index == 0).then_some(BackendRef::new(0, 0))
    }
    fn backend(&self, index: u32) -> Option<BackendEntry> {
        let SocketPeer { address, port, .. } = backend();
        (index == 0).then_some(BackendEntry { address, port, ..BackendEntry::default() })
    }
    fn udp_flow(&self, _: &SocketKey) -> Option<BackendRef> {
        None
    }
    fn remember_udp_flow(&self, _: &SocketKey, _: BackendRef) -> Result<(), Full> {
        Err(Full)
    }
    fn reverse(&self, key: &SocketKey) -> Option<SocketPeer> {
        self.reverse.borrow().get(key).copied()
    }
    fn remember_reverse(&self, key: &SocketKey, frontend: &SocketPeer) -> Result<(), Full> {
        self.reverse.borrow_mut().insert(*key, *frontend);
        Ok(())
    }
    fn forget_reverse(&self, key: &SocketKey) {
        self.reverse.borrow_mut().remove(key);
    }
    fn random(&self) -> u32 {
        0
    }
    fn count(&self, _: Counter) {}
}

fn connected(tables: &OneService, cookie: u64) {
    let dial = Dial { cookie, peer: frontend(), protocol: TCP };
    assert_eq!(connect(tables, &dial), Decision::Rewrite(backend()));
    assert_eq!(restore_peer_name(tables, cookie, backend()), Some(frontend()));
}

#[test]
fn a_released_socket_takes_its_own_reverse_entry_along() {
    let tables = OneService::default();
    connected(&tables, 1);
    connected(&tables, 2);
    release(&tables, 1, backend());
    assert_eq!(restore_peer_name(&tables, 1, backend()), None);
    assert_eq!(restore_peer_name(&tables, 2, backend()), Some(frontend()), "another socket's entry stays");
    release(&tables, 2, backend());
    assert!(tables.reverse.borrow().is_empty());
}

#[test]
fn a_socket_that_is_not_connected_has_nothing_to_look_for() {
    let tables = OneService::default();
    connected(&tables, 1);
    release(&tables, 1, SocketPeer::new(backend().address, 0));
    assert_eq!(restore_peer_name(&tables, 1, backend()), Some(frontend()));
}
