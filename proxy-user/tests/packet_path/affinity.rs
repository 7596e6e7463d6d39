//! Session affinity by client address.

use crate::{
    ask::{PROTOCOLS, ask},
    backend::Backend,
    service::{EXTERNAL, KINDS, Kind, ready, service},
    stage::Stage,
};
use proxy_common::abi::Counter;
use shunt::{
    lab::lan::Host,
    model::{Family, Protocol, Service},
};
use std::{collections::BTreeSet, thread, time::Duration};

const COUNTERS: [Counter; 2] = [Counter::AffinityNew, Counter::AffinityKept];

fn sticky(number: u8, seconds: u32) -> Service {
    Service { affinity_seconds: Some(seconds), ..service(number) }
}

/// Three pods here and one elsewhere.
fn backends(stage: &mut Stage) -> Vec<Backend> {
    let mut backends: Vec<_> = ["one", "two", "three"].map(|name| stage.pod(0, name)).into();
    backends.push(stage.pod(1, "four"));
    backends
}

fn serve(stage: &mut Stage, service: &Service, backends: &[Backend]) {
    stage.serve(service, &ready(&backends.iter().collect::<Vec<_>>()));
}

/// Who answers a client that asks every frontend of a Service's port, several times.
fn answering(
    stage: &Stage,
    client: &Host,
    number: u8,
    family: Family,
    protocol: Protocol,
) -> BTreeSet<String> {
    let dials = stage.dials(number, &KINDS);
    let dials = dials.iter().filter(|(p, to)| *p == protocol && Family::of(&to.ip()) == family);
    let names = dials.flat_map(|(protocol, to)| {
        (0..3).map(|_| ask(&**client, *protocol, *to).unwrap().name).collect::<Vec<_>>()
    });
    names.collect()
}

#[test]
fn a_client_keeps_its_endpoint_on_all_frontends_of_a_service_port() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = backends(&mut stage);
    serve(&mut stage, &sticky(1, 600), &backends);
    let others: Vec<_> = (0..7).map(|number| stage.add_client(&format!("client-{number}"))).collect();
    for (family, protocol) in Family::BOTH.into_iter().flat_map(|family| PROTOCOLS.map(|p| (family, p))) {
        let mut all = BTreeSet::new();
        let clients = 1 + others.len();
        let ((), [new, kept]) = stage.counted(COUNTERS, || {
            for client in others.iter().chain([stage.client()]) {
                let names = answering(&stage, client, 1, family, protocol);
                assert_eq!(names.len(), 1, "{protocol} {family}: {names:?}");
                all.extend(names);
            }
        });
        // Another protocol and another family are service ports of their own: each client is new to them.
        assert_eq!((new, kept), (clients as u64, clients as u64 * 11), "{protocol} {family}");
        // Eight clients that pick one of four each: all the same one is less likely than 1 in 16,000.
        assert!(all.len() > 1, "{protocol} {family}: {all:?}");
    }
    drop((others, backends));
    stage.assert_nothing_left();
}

#[test]
fn a_client_moves_when_its_endpoint_leaves_and_stays_with_the_new_one() {
    let Some(mut stage) = Stage::usual() else { return };
    let mut left = backends(&mut stage);
    serve(&mut stage, &sticky(1, 600), &left);
    for protocol in PROTOCOLS {
        answering(&stage, stage.client(), 1, Family::V4, protocol);
    }
    while left.len() > 1 {
        let before = answering(&stage, stage.client(), 1, Family::V4, Protocol::Tcp);
        left.retain(|backend| !before.contains(backend.name()));
        serve(&mut stage, &sticky(1, 600), &left);
        let after = answering(&stage, stage.client(), 1, Family::V4, Protocol::Tcp);
        assert!(after.len() == 1 && after.is_disjoint(&before), "{before:?} {after:?}");
    }
    drop(left);
    stage.assert_nothing_left();
}

#[test]
fn affinity_ends_when_no_flow_began_for_its_timeout() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = backends(&mut stage);
    serve(&mut stage, &sticky(1, 1), &backends);
    let (protocol, to) = stage.dials(1, &EXTERNAL)[0];
    let asked = |stage: &Stage| stage.counted(COUNTERS, || ask(&**stage.client(), protocol, to).unwrap()).1;
    assert_eq!(asked(&stage), [1, 0]);
    // Each flow starts the timeout again.
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(500));
        assert_eq!(asked(&stage), [0, 1]);
    }
    thread::sleep(Duration::from_millis(1_100));
    assert_eq!(asked(&stage), [1, 0]);
    drop(backends);
    stage.assert_nothing_left();
}

#[test]
fn affinity_may_be_switched_on_and_off() {
    let Some(mut stage) = Stage::usual() else { return };
    let backends = backends(&mut stage);
    let names = |stage: &Stage| -> BTreeSet<String> {
        let (protocol, to) = stage.dials(1, &[Kind::NodePort])[0];
        (0..24).map(|_| ask(&**stage.client(), protocol, to).unwrap().name).collect()
    };
    for _ in 0..2 {
        serve(&mut stage, &service(1), &backends);
        // Twenty-four picks of one of four that are all the same: impossible but for a fault.
        assert!(names(&stage).len() > 1);
        serve(&mut stage, &sticky(1, 600), &backends);
        assert_eq!(names(&stage).len(), 1);
    }
    drop(backends);
    stage.assert_nothing_left();
}
