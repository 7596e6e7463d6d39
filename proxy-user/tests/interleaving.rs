//! No reader on another CPU ever sees a dead or foreign backend: the datapath's own code runs over
//! every state between any two writes, and over reads that straddle them.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use proptest::prelude::*;
use proxy_common::{
    abi::{
        Address, AffinityClient, AffinityEntry, AffinityKey, BackendEntry, BackendRef, Counter, FrontendKey4,
        FrontendKey6, FrontendValue, NodeFlags, ReverseEntry, ServiceEntry, SocketKey, SocketPeer,
    },
    datapath::{Client, Decision, Dial, Full, Origin, Tables, connect, send},
};
use shunt::{
    engine::{Engine, Rules},
    writer::{Capacities, MemoryMaps},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    net::SocketAddr,
};
use support::{Dialled, NODE, Recorder, World, allowed, dialled, event};

/// So little room that freed slots and backends are reused all the time.
const TIGHT: Capacities = Capacities {
    frontends: 128,
    services: 24,
    slots: 64,
    backends: 48,
    name_cells: 256,
    sockets: 16,
    affinities: 16,
    flows: 1_024,
    prefixes: 64,
};

/// A reader whose reads happen at different times: before each one, some writes may have happened.
struct StraddlingReader<'a> {
    states: &'a [MemoryMaps],
    now: Cell<usize>,
    pauses: RefCell<std::vec::IntoIter<u8>>,
    random: u32,
}

impl StraddlingReader<'_> {
    fn read(&self) -> &MemoryMaps {
        let pause = self.pauses.borrow_mut().next().unwrap_or(0);
        self.now.set((self.now.get() + usize::from(pause)).min(self.states.len() - 1));
        &self.states[self.now.get()]
    }
}

impl Tables for StraddlingReader<'_> {
    fn frontend4(&self, key: &FrontendKey4) -> Option<FrontendValue> {
        self.read().frontend4(key)
    }
    fn frontend6(&self, key: &FrontendKey6) -> Option<FrontendValue> {
        self.read().frontend6(key)
    }
    fn service_entry(&self, service: u32) -> Option<ServiceEntry> {
        self.read().service_entry(service)
    }
    fn slot(&self, index: u32) -> Option<BackendRef> {
        Tables::slot(self.read(), index)
    }
    fn backend(&self, index: u32) -> Option<BackendEntry> {
        Tables::backend(self.read(), index)
    }
    fn udp_flow(&self, _: &SocketKey) -> Option<BackendRef> {
        None
    }
    fn remember_udp_flow(&self, _: &SocketKey, _: BackendRef) -> Result<(), Full> {
        Ok(())
    }
    fn reverse(&self, _: &SocketKey) -> Option<ReverseEntry> {
        None
    }
    fn remember_reverse(&self, _: &SocketKey, _: &ReverseEntry) -> Result<(), Full> {
        Ok(())
    }
    fn forget_reverse(&self, _: &SocketKey) {}
    fn affinity(&self, _: &AffinityKey) -> Option<AffinityEntry> {
        None
    }
    fn remember_affinity(&self, _: &AffinityKey, _: &AffinityEntry) -> Result<(), Full> {
        Ok(())
    }
    fn in_source_ranges(&self, service: u32, source: &Address) -> bool {
        self.read().in_source_ranges(service, source)
    }
    fn network(&self, address: &Address) -> Option<u32> {
        self.read().network(address)
    }
    fn node_flags(&self) -> NodeFlags {
        self.read().node_flags()
    }
    fn now(&self) -> u64 {
        0
    }
    fn random(&self) -> u32 {
        self.random
    }
    fn count(&self, _: Counter) {}
}

/// A socket in a pod.
struct Pod;

impl Client for Pod {
    fn origin(&self) -> Origin {
        Origin::Pod
    }
    fn address(&self) -> Option<Address> {
        None
    }
    fn affinity(&self) -> AffinityClient {
        AffinityClient::namespace(7)
    }
}

fn dial(dialled: &Dialled) -> Dial {
    let peer = SocketPeer::new(dialled.address.ip().into(), dialled.address.port().to_be());
    Dial { cookie: 1, peer, protocol: dialled.protocol as u8 }
}

fn check(decision: Decision, endpoints: &BTreeSet<SocketAddr>, nothing: bool) -> Result<(), TestCaseError> {
    match decision {
        Decision::Rewrite(peer) => {
            let picked = SocketAddr::new(peer.address.to_ip(), u16::from_be(peer.port));
            prop_assert!(endpoints.contains(&picked), "{picked} is no endpoint of the service");
        }
        Decision::Pass | Decision::Refuse | Decision::Drop => {
            prop_assert!(nothing, "{decision:?} though there were endpoints all the time");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_state_between_two_writes_serves(
        steps in prop::collection::vec(prop::collection::vec(event(), 1..4), 1..25),
    ) {
        let recorder = Recorder::new(&TIGHT);
        let history = recorder.history();
        let (mut engine, mut world) = (Engine::new(NODE, Rules::default(), recorder).unwrap(), World::default());
        for events in steps {
            let before = world.model();
            for event in events {
                world.apply(&event);
                engine.apply(event);
            }
            history.borrow_mut().clear();
            engine.sync().unwrap();
            // What does not fit keeps what it had: only the plain cases are compared.
            if !engine.unplaced().is_empty() {
                break;
            }
            let moments = [before, world.model()];
            let dialled = dialled(&moments);
            for maps in history.borrow().iter() {
                for address in &dialled {
                    let allowed = allowed(&moments, address);
                    for pick in 0..8_u32 {
                        maps.set_random(pick << 29);
                        check(connect(maps, &Pod, &dial(address)), &allowed.endpoints, allowed.nothing)?;
                    }
                }
            }
        }
    }

    #[test]
    fn reads_that_straddle_writes_and_syncs_reach_what_was_offered_meanwhile(
        steps in prop::collection::vec(event(), 2..40),
        readers in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(0..12_u8, 8), any::<u32>()),
            600,
        ),
    ) {
        let recorder = Recorder::new(&TIGHT);
        let history = recorder.history();
        let (mut engine, mut world) = (Engine::new(NODE, Rules::default(), recorder).unwrap(), World::default());
        // What was true since the last grace period, and the number of states when each sync ended.
        let mut moments = vec![world.model()];
        let mut ends: Vec<usize> = Vec::new();
        for event in steps {
            world.apply(&event);
            engine.apply(event);
            let graced = engine.sync().unwrap().grace_periods > 0;
            if !engine.unplaced().is_empty() {
                // What does not fit keeps what it had: only the plain cases are compared.
                history.borrow_mut().truncate(if graced { 0 } else { ends.last().copied().unwrap_or(0) });
                break;
            }
            if graced {
                let last = moments.pop().unwrap_or_default();
                (moments, ends) = (vec![last], Vec::new());
            }
            moments.push(world.model());
            ends.push(history.borrow().len());
            if history.borrow().len() > 60 {
                history.borrow_mut().clear();
                (moments, ends) = (vec![world.model()], Vec::new());
            }
        }
        let states = history.borrow();
        let dialled: Vec<_> = dialled(&moments).into_iter().collect();
        if states.is_empty() || dialled.is_empty() {
            return Ok(());
        }
        for (start, whom, pauses, random) in readers {
            let start = start.index(states.len());
            let address = dialled[whom.index(dialled.len())];
            let reader = StraddlingReader {
                states: &states,
                now: Cell::new(start),
                pauses: RefCell::new(pauses.into_iter()),
                random,
            };
            let decision = connect(&reader, &Pod, &dial(&address));
            // A state written during sync k is met by clients of moment k and of moment k + 1.
            let sync_of = |state: usize| ends.iter().take_while(|end| **end <= state).count();
            let (from, to) = (sync_of(start), sync_of(reader.now.get()) + 1);
            let last = moments.len() - 1;
            let met = &moments[from.min(last)..=to.min(last)];
            let allowed = allowed(met, &address);
            check(decision, &allowed.endpoints, allowed.nothing)?;
        }
    }

    #[test]
    fn a_udp_socket_never_goes_on_with_a_backend_that_is_gone(
        steps in prop::collection::vec(event(), 2..80),
    ) {
        let (mut engine, mut world) = (Engine::new(NODE, Rules::default(), MemoryMaps::new(&TIGHT)).unwrap(), World::default());
        for event in steps {
            world.apply(&event);
            engine.apply(event);
            engine.sync().unwrap();
            if !engine.unplaced().is_empty() {
                break;
            }
            // The maps keep what sockets remember, through every reuse of an index.
            let now = [world.model()];
            for (address, cookie) in dialled(&now).into_iter().flat_map(|address| [(address, 1), (address, 2)]) {
                let again = Dial { cookie, ..dial(&address) };
                let allowed = allowed(&now, &address);
                check(send(engine.writer(), &Pod, &again), &allowed.usable, allowed.nothing)?;
            }
        }
    }
}
