//! No reader on another CPU ever sees a dead or foreign backend: the datapath's own code runs over
//! every state between any two writes, and over reads that straddle them.

mod support;

use proptest::prelude::*;
use proxy_common::{
    abi::{
        BackendEntry, BackendRef, Counter, EndpointSet, FrontendKey4, FrontendKey6, FrontendValue, ServiceFlags,
        SocketKey, SocketPeer,
    },
    datapath::{Decision, Dial, Full, Tables, connect},
};
use shunt::{
    engine::Engine,
    model::Protocol,
    writer::{Capacities, MemoryMaps},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    net::SocketAddr,
};
use support::{NODE, Offer, Recorder, World, event};

/// So little room that freed slots and backends are reused all the time.
const TIGHT: Capacities =
    Capacities { frontends: 24, services: 24, slots: 64, backends: 48, name_cells: 128, sockets: 16 };

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
    fn service_flags(&self, service: u32) -> Option<ServiceFlags> {
        self.read().service_flags(service)
    }
    fn cluster_set(&self, service: u32) -> Option<EndpointSet> {
        self.read().cluster_set(service)
    }
    fn local_set(&self, service: u32) -> Option<EndpointSet> {
        self.read().local_set(service)
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
    fn reverse(&self, _: &SocketKey) -> Option<SocketPeer> {
        None
    }
    fn remember_reverse(&self, _: &SocketKey, _: &SocketPeer) -> Result<(), Full> {
        Ok(())
    }
    fn forget_reverse(&self, _: &SocketKey) {}
    fn random(&self) -> u32 {
        self.random
    }
    fn count(&self, _: Counter) {}
}

/// What a client may meet while the offer changes from one to the next: each address may lead to
/// what it led to at either time.
#[derive(Default)]
struct Allowed {
    endpoints: BTreeSet<SocketAddr>,
    /// At some time nothing was offered, or no endpoint: then a refusal or a pass is right.
    nothing: bool,
}

fn allowed(offers: &[Offer], address: &(SocketAddr, Protocol)) -> Allowed {
    let mut allowed = Allowed::default();
    for offer in offers {
        match offer.get(address) {
            Some(endpoints) if !endpoints.is_empty() => allowed.endpoints.extend(endpoints),
            _ => allowed.nothing = true,
        }
    }
    allowed
}

fn dial(address: &(SocketAddr, Protocol)) -> Dial {
    let peer = SocketPeer::new(address.0.ip().into(), address.0.port().to_be());
    Dial { cookie: 1, peer, protocol: address.1 as u8 }
}

fn check(decision: Decision, allowed: &Allowed) -> Result<(), TestCaseError> {
    match decision {
        Decision::Rewrite(peer) => {
            let picked = SocketAddr::new(peer.address.to_ip(), u16::from_be(peer.port));
            prop_assert!(allowed.endpoints.contains(&picked), "{picked} is no endpoint of the service");
        }
        Decision::Pass | Decision::Refuse => {
            prop_assert!(allowed.nothing, "{decision:?} though there were endpoints all the time");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_state_between_two_writes_serves(
        steps in prop::collection::vec(prop::collection::vec(event(), 1..4), 1..25),
    ) {
        let recorder = Recorder::new(&TIGHT);
        let history = recorder.history();
        let (mut engine, mut world) = (Engine::new(NODE, recorder).unwrap(), World::default());
        for events in steps {
            let before = world.offer();
            for event in events {
                world.apply(&event);
                engine.apply(event);
            }
            history.borrow_mut().clear();
            engine.sync().unwrap();
            // A service that does not fit keeps what it had: only the plain cases are compared.
            if !engine.unplaced().is_empty() {
                break;
            }
            let offers = [before, world.offer()];
            let dialled: BTreeSet<_> = offers.iter().flat_map(|offer| offer.keys()).collect();
            for maps in history.borrow().iter() {
                for address in &dialled {
                    let allowed = allowed(&offers, address);
                    for pick in 0..8_u32 {
                        maps.set_random(pick << 29);
                        check(connect(maps, &dial(address)), &allowed)?;
                    }
                }
            }
        }
    }

    #[test]
    fn reads_that_straddle_writes_and_syncs_reach_what_was_offered_meanwhile(
        steps in prop::collection::vec(event(), 2..40),
        readers in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::collection::vec(0..6_u8, 8), any::<u32>()),
            400,
        ),
    ) {
        let recorder = Recorder::new(&TIGHT);
        let history = recorder.history();
        let (mut engine, mut world) = (Engine::new(NODE, recorder).unwrap(), World::default());
        // The states since the last grace period, and what was offered when each began and ended.
        let mut offers: Vec<Offer> = vec![world.offer()];
        let mut ends: Vec<usize> = Vec::new();
        for event in steps {
            world.apply(&event);
            engine.apply(event);
            let graced = engine.sync().unwrap().grace_periods > 0;
            if !engine.unplaced().is_empty() {
                break;
            }
            if graced {
                let last = offers.pop().unwrap_or_default();
                (offers, ends) = (vec![last], Vec::new());
            }
            offers.push(world.offer());
            ends.push(history.borrow().len());
            if history.borrow().len() > 60 {
                history.borrow_mut().clear();
                (offers, ends) = (vec![world.offer()], Vec::new());
            }
        }
        let states = history.borrow();
        let dialled: Vec<_> = offers.iter().flat_map(|offer| offer.keys().copied()).collect();
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
            let decision = connect(&reader, &dial(&address));
            // A state written during sync k is met by clients of offer k and of offer k + 1.
            let sync_of = |state: usize| ends.iter().take_while(|end| **end <= state).count();
            let (from, to) = (sync_of(start), sync_of(reader.now.get()) + 1);
            let met = &offers[from.min(offers.len() - 1)..=to.min(offers.len() - 1)];
            check(decision, &allowed(met, &address))?;
        }
    }
}
