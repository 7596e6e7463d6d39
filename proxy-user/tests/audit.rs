//! Maps that somebody else has written to are mended by an audit, whatever was done to them.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use proptest::prelude::*;
use proxy_common::abi::{
    BackendEntry, BackendRef, EndpointSet, FrontendFlags, FrontendValue, NodeEntry, NodeFlags, ServiceEntry,
    ServiceFlags,
};
use shunt::{
    engine::{Engine, Rules, SyncReport},
    view::decode_node,
    writer::{Capacities, FrontendKey, MapReader, MemoryMaps, Name, PrefixKey, Store, WriteError, Writer},
};
use std::{cell::RefCell, rc::Rc};
use support::{NODE, ROOMY, World, content, event};

/// Maps that others can write to beside the engine.
#[derive(Clone)]
struct Shared(Rc<RefCell<MemoryMaps>>);

impl Writer for Shared {
    fn store(&mut self, store: &Store) {
        self.0.borrow_mut().store(store);
    }

    fn put_frontends(&mut self, entries: &[(FrontendKey, FrontendValue)]) -> Result<(), WriteError> {
        self.0.borrow_mut().put_frontends(entries)
    }

    fn delete_frontends(&mut self, keys: &[FrontendKey]) -> Result<(), WriteError> {
        self.0.borrow_mut().delete_frontends(keys)
    }

    fn put_prefixes(&mut self, entries: &[(PrefixKey, u32)]) -> Result<(), WriteError> {
        self.0.borrow_mut().put_prefixes(entries)
    }

    fn delete_prefixes(&mut self, keys: &[PrefixKey]) -> Result<(), WriteError> {
        self.0.borrow_mut().delete_prefixes(keys)
    }

    fn grace_period(&mut self) -> Result<(), WriteError> {
        self.0.borrow_mut().grace_period()
    }
}

impl MapReader for Shared {
    fn capacities(&self) -> Capacities {
        self.0.borrow().capacities()
    }

    fn frontends(&self) -> Result<Vec<(FrontendKey, FrontendValue)>, WriteError> {
        self.0.borrow().frontends()
    }

    fn prefixes(&self) -> Result<Vec<(PrefixKey, u32)>, WriteError> {
        self.0.borrow().prefixes()
    }

    fn node(&self) -> NodeEntry {
        self.0.borrow().node()
    }

    fn service(&self, index: u32) -> Option<ServiceEntry> {
        self.0.borrow().service(index)
    }

    fn slot(&self, index: u32) -> Option<BackendRef> {
        self.0.borrow().slot(index)
    }

    fn backend(&self, index: u32) -> Option<BackendEntry> {
        self.0.borrow().backend(index)
    }

    fn name(&self, cell: u32) -> Option<Name> {
        self.0.borrow().name(cell)
    }
}

/// What somebody may do to the maps: a kind, a place, and a number to write there.
#[derive(Clone, Copy, Debug)]
struct Damage(u8, u32, u32);

fn damage() -> impl Strategy<Value = Damage> {
    (0..10_u8, 0..64_u32, any::<u32>()).prop_map(|(kind, place, number)| Damage(kind, place, number))
}

impl Damage {
    fn strike(self, maps: &mut MemoryMaps) {
        let Self(kind, place, number) = self;
        let frontends = {
            let mut frontends = maps.frontends().unwrap();
            frontends.sort_by_key(|(key, _)| *key);
            frontends
        };
        let hit = frontends.get(place as usize % frontends.len().max(1)).copied();
        let backend = maps.backend(place).unwrap();
        let service = place % 16;
        match (kind, hit) {
            (0, Some((key, _))) => maps.delete_frontends(&[key]).unwrap(),
            (1, Some((key, _))) => {
                let value = FrontendValue::new(number % 80, FrontendFlags::CLUSTER_IP, key.check());
                maps.put_frontends(&[(key, value)]).unwrap();
            }
            (2, _) => maps.store(&Store::Backend {
                index: place,
                entry: BackendEntry { port: number as u16, ..backend },
            }),
            (3, _) => {
                maps.store(&Store::Backend {
                    index: place,
                    entry: BackendEntry { service: number % 80, ..backend },
                });
            }
            (4, _) => maps
                .store(&Store::Slot { index: place, backend: BackendRef::new(number % 600, number >> 30) }),
            (5, _) => {
                let set = EndpointSet::new(number % 1_100, number >> 28);
                maps.store(&Store::ClusterSet { service, set });
            }
            (6, _) => {
                let entry = maps.service(service).unwrap();
                let flags = ServiceFlags(number & 0x1ff);
                maps.store(&Store::Service { service, entry: ServiceEntry { flags, ..entry } });
            }
            (7, _) => maps.store(&Store::Name { cell: place * 8, text: "somebody/else".into() }),
            (8, _) => {
                maps.store(&Store::Node { entry: NodeEntry { flags: NodeFlags(number & 7), ..maps.node() } });
            }
            (9, _) => {
                let mut prefixes = maps.prefixes().unwrap();
                prefixes.sort_by_key(|(key, _)| *key);
                let hit = prefixes.get(place as usize % prefixes.len().max(1));
                hit.into_iter().for_each(|(key, _)| maps.delete_prefixes(&[*key]).unwrap());
            }
            _ => {}
        }
    }
}

fn writes(report: &SyncReport) -> usize {
    report.stores + report.puts + report.deletes + report.prefixes
}

/// All that maps say, without indices.
fn all(maps: &impl MapReader) -> String {
    let mut frontends: Vec<_> =
        maps.frontends().unwrap().into_iter().map(|(key, value)| (key, value.kind())).collect();
    frontends.sort_by_key(|(key, _)| *key);
    let mut networks: Vec<_> = maps.prefixes().unwrap();
    // Source ranges are keyed by index: `content` has them.
    networks.retain(|(key, _)| matches!(key, PrefixKey::Network(_)));
    networks.sort_unstable();
    format!("{:#?}", (content(maps), frontends, networks, maps.node().flags, decode_node(maps)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn an_audit_mends_whatever_was_done_to_the_maps(
        events in prop::collection::vec(event(), 1..80),
        damages in prop::collection::vec(damage(), 1..12),
        later in prop::collection::vec(event(), 0..10),
    ) {
        let shared = Shared(Rc::new(RefCell::new(MemoryMaps::new(&ROOMY))));
        let mut engine = Engine::new(NODE, Rules::default(), shared.clone()).unwrap();
        let mut world = World::default();
        for event in events {
            world.apply(&event);
            engine.apply(event);
        }
        engine.sync().unwrap();
        engine.settle().unwrap();
        let sound = engine.audit().unwrap().unwrap();
        prop_assert_eq!(writes(&sound), 0, "{:?}", sound);

        damages.iter().for_each(|damage| damage.strike(&mut shared.0.borrow_mut()));
        engine.audit().unwrap().unwrap();
        let mut fresh = Engine::new(NODE, Rules::default(), MemoryMaps::new(&ROOMY)).unwrap();
        world.list().into_iter().for_each(|event| fresh.apply(event));
        fresh.sync().unwrap();
        prop_assert_eq!(all(engine.writer()), all(fresh.writer()));
        let again = engine.audit().unwrap().unwrap();
        prop_assert_eq!(writes(&again), 0, "once is enough: {:?}", again);

        // And the engine goes on as if nothing had been.
        for event in later {
            world.apply(&event);
            engine.apply(event.clone());
            fresh.apply(event);
        }
        engine.sync().unwrap();
        fresh.sync().unwrap();
        prop_assert_eq!(all(engine.writer()), all(fresh.writer()));
        world.deletions().into_iter().for_each(|event| engine.apply(event));
        engine.sync().unwrap();
        engine.settle().unwrap();
        prop_assert!(engine.writer().0.borrow().frontends().unwrap().iter().all(|(_, value)| !value.kind().leads_to_service()));
    }
}
