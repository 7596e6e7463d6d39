//! The incremental engine against a plain model of kube-proxy's rules: whatever happens in whatever order, the
//! maps hold what the rules make of the objects that exist, and the datapath decides what they say.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod support;

use proptest::{prelude::*, strategy::ValueTree as _};
use proxy_common::{
    abi::{BackendEntry, EndpointSet, SocketPeer},
    datapath::{PacketClient, Tables, Verdict, route},
};
use shunt::{
    engine::{Engine, Rules},
    model::{Event, TrafficPolicy},
    view::{FrontendKind, decode},
    writer::MemoryMaps,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};
use support::{Expected, Kind, Model, NODE, Probe, ROOMY, World, event, probes};

/// Rules that leave loopback and the node's addresses as the model has them.
fn rules() -> Rules {
    Rules::default()
}

fn kind(kind: FrontendKind) -> Kind {
    match kind {
        FrontendKind::ClusterIp => Kind::ClusterIp,
        FrontendKind::NodePort => Kind::NodePort,
        FrontendKind::ExternalIp => Kind::ExternalIp,
        FrontendKind::LoadBalancer => Kind::LoadBalancer,
    }
}

/// The maps hold exactly the frontends and service ports of the model.
fn check_content(maps: &MemoryMaps, model: &Model) -> Result<(), TestCaseError> {
    let (mut owners, mut ports) = (BTreeMap::new(), BTreeSet::new());
    for port in decode(maps).unwrap() {
        let id = port.id.clone().unwrap();
        let owner = (id.service, id.port, id.protocol, id.family);
        let expected = &model.ports[&owner];
        let is_local = |policy| policy == TrafficPolicy::Local;
        prop_assert_eq!(&port.cluster.iter().copied().collect::<BTreeSet<_>>(), &expected.cluster);
        prop_assert_eq!(&port.local.iter().copied().collect::<BTreeSet<_>>(), &expected.local);
        prop_assert_eq!(port.any_usable, !expected.usable.is_empty());
        prop_assert_eq!(is_local(port.internal_policy), expected.internal_local);
        prop_assert_eq!(is_local(port.external_policy), expected.external_local);
        prop_assert_eq!(port.affinity_seconds, expected.affinity_seconds);
        prop_assert_eq!(port.health_check_node_port, expected.health_check_node_port);
        let ranges: BTreeSet<String> = port.source_ranges.iter().map(ToString::to_string).collect();
        prop_assert_eq!(&ranges, &expected.source_ranges);
        for frontend in port.frontends {
            let key = (owner.3, frontend.address, frontend.port, owner.2);
            owners.insert(key, (kind(frontend.kind), owner.clone()));
        }
        ports.insert(owner);
    }
    prop_assert_eq!(owners, model.owners.clone());
    // A service port that lost every frontend to others is not shown.
    let shown: BTreeSet<_> = model.owners.values().map(|(_, owner)| owner.clone()).collect();
    prop_assert_eq!(ports, shown);
    Ok(())
}

fn endpoints(maps: &MemoryMaps, set: EndpointSet) -> BTreeSet<SocketAddr> {
    let backend = |slot| Tables::backend(maps, Tables::slot(maps, slot).unwrap().index()).unwrap();
    let address = |entry: BackendEntry| SocketAddr::new(entry.address.to_ip(), u16::from_be(entry.port));
    (set.base()..set.base() + set.count()).map(|slot| address(backend(slot))).collect()
}

fn decide(maps: &MemoryMaps, probe: &Probe) -> Expected {
    let client = PacketClient { origin: probe.origin, address: probe.source.into() };
    let peer = SocketPeer::new(probe.destination.ip().into(), probe.destination.port().to_be());
    match route(maps, &client, &peer, probe.protocol as u8) {
        Verdict::Pass(_) => Expected::Pass,
        Verdict::Reject(reason) => Expected::Reject(reason),
        Verdict::Drop(reason) => Expected::Drop(reason),
        Verdict::Forward(route) => Expected::Forward(endpoints(maps, route.set)),
    }
}

fn check(maps: &MemoryMaps, model: &Model, probes: &[Probe]) -> Result<(), TestCaseError> {
    check_content(maps, model)?;
    for probe in probes {
        prop_assert_eq!(decide(maps, probe), model.decide(probe), "{:?}", probe);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::with_cases(10_000) })]

    #[test]
    fn the_maps_hold_what_the_rules_say(
        events in prop::collection::vec((event(), 0..5_u8), 1..28),
        whom in any::<prop::sample::Index>(),
    ) {
        let mut engine = Engine::new(NODE, rules(), MemoryMaps::new(&ROOMY)).unwrap();
        let mut world = World::default();
        let probes = probes();
        for (event, sync) in events {
            world.apply(&event);
            engine.apply(event);
            // Several events may wait for one sync.
            if sync == 0 {
                engine.sync().unwrap();
                let some = whom.index(probes.len() - 20);
                check(engine.writer(), &world.model(), &probes[some..some + 20])?;
            }
        }
        engine.sync().unwrap();
        prop_assert!(engine.unplaced().is_empty());
        check(engine.writer(), &world.model(), &probes)?;
    }
}

/// A model that agreed with anything would prove nothing: the small world does reach every kind of verdict.
#[test]
fn the_small_world_reaches_every_verdict() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = prop::collection::vec(event(), 30..60);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..200 {
        let events: Vec<Event> = strategy.new_tree(&mut runner).unwrap().current();
        let mut world = World::default();
        events.iter().for_each(|event| world.apply(event));
        let model = world.model();
        for probe in probes() {
            let name = match model.decide(&probe) {
                Expected::Pass => "pass".to_owned(),
                Expected::Reject(reason) | Expected::Drop(reason) => format!("{reason:?}"),
                Expected::Forward(_) => format!("forward {:?}", probe.origin),
            };
            *seen.entry(name).or_default() += 1;
        }
        for port in model.ports.values() {
            let few =
                [("topology", port.cluster.len() < port.usable.len()), ("elsewhere", port.local.is_empty())];
            few.iter()
                .filter(|(_, met)| *met)
                .for_each(|(name, _)| *seen.entry((*name).to_owned()).or_default() += 1);
        }
    }
    for wanted in [
        "pass",
        "UnknownPort",
        "NoEndpoint",
        "NoLocalEndpoint",
        "SourceNotAllowed",
        "Unallocated",
        "forward Pod",
        "forward Node",
        "forward Outside",
        "topology",
        "elsewhere",
    ] {
        assert!(seen.get(wanted).is_some_and(|count| *count >= 20), "{wanted}: {seen:?}");
    }
}
