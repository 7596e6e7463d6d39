//! `externalTrafficPolicy` and `internalTrafficPolicy` for clients outside, and Services without endpoints.

use crate::{
    ask::{Seen, assert_all_answer, assert_all_silent, assert_refused},
    service::{EXTERNAL, KINDS, Kind, external_local, ready, service, terminating},
    stage::Stage,
};
use proxy_common::abi::Counter;
use shunt::model::{Conditions, Service, TrafficPolicy};

#[test]
fn external_policy_local_reaches_endpoints_of_the_node_alone_and_keeps_the_client() {
    let Some(mut stage) = Stage::usual() else { return };
    let (here, there) = (stage.pod(0, "here"), stage.pod(1, "there"));
    stage.serve(&external_local(1), &ready(&[&here, &there]));
    // Eight times each: the other one would be picked among them.
    for _ in 0..8 {
        assert_all_answer(&**stage.client(), &stage.dials(1, &EXTERNAL), "here", Seen::Client);
    }
    drop((here, there));
    stage.assert_nothing_left();
}

#[test]
fn external_policy_local_without_an_endpoint_on_the_node_is_silent() {
    let Some(mut stage) = Stage::usual() else { return };
    let there = stage.pod(1, "there");
    stage.serve(&external_local(1), &ready(&[&there]));
    let (_, [dropped, refused]) =
        stage.counted([Counter::PacketNoLocalEndpoint, Counter::PacketNoEndpoint], || {
            assert_all_silent(&**stage.client(), &stage.dials(1, &EXTERNAL));
        });
    assert_eq!((dropped, refused), (12, 0));
    // The ClusterIP is another policy's affair.
    assert_all_answer(&**stage.client(), &stage.dials(1, &[Kind::ClusterIp]), "there", stage.as_node());
    // And with the policy Cluster all are reached.
    stage.serve(&service(1), &ready(&[&there]));
    assert_all_answer(&**stage.client(), &stage.dials(1, &KINDS), "there", stage.as_node());
    drop(there);
    stage.assert_nothing_left();
}

#[test]
fn a_terminating_endpoint_of_the_node_serves_a_local_policy_that_has_no_other() {
    let Some(mut stage) = Stage::usual() else { return };
    let (here, there) = (stage.pod(0, "here"), stage.pod(1, "there"));
    let mut endpoints = terminating(&[&here]);
    endpoints.extend(ready(&[&there]));
    stage.serve(&external_local(1), &endpoints);
    assert_all_answer(&**stage.client(), &stage.dials(1, &EXTERNAL), "here", Seen::Client);
    // With the policy Cluster the ready one alone counts.
    stage.serve(&service(1), &endpoints);
    for _ in 0..4 {
        assert_all_answer(&**stage.client(), &stage.dials(1, &EXTERNAL), "there", stage.as_node());
    }
    // Until none is ready anywhere.
    stage.serve(&service(1), &terminating(&[&here]));
    assert_all_answer(&**stage.client(), &stage.dials(1, &EXTERNAL), "here", Seen::Client);
    drop((here, there));
    stage.assert_nothing_left();
}

#[test]
fn internal_policy_local_without_an_endpoint_on_the_node_is_silent() {
    let Some(mut stage) = Stage::usual() else { return };
    let there = stage.pod(1, "there");
    let local = Service { internal_policy: TrafficPolicy::Local, ..service(1) };
    stage.serve(&local, &ready(&[&there]));
    assert_all_silent(&**stage.client(), &stage.dials(1, &[Kind::ClusterIp]));
    assert_eq!(stage.counter(Counter::PacketNoLocalEndpoint), 4);
    // It never touches the frontends of outside.
    assert_all_answer(&**stage.client(), &stage.dials(1, &EXTERNAL), "there", stage.as_node());
    let here = stage.pod(0, "here");
    stage.serve(&local, &ready(&[&here, &there]));
    for _ in 0..8 {
        assert_all_answer(&**stage.client(), &stage.dials(1, &[Kind::ClusterIp]), "here", Seen::Client);
    }
    drop((here, there));
    stage.assert_nothing_left();
}

#[test]
fn a_service_without_a_usable_endpoint_is_refused_at_once() {
    let Some(mut stage) = Stage::usual() else { return };
    let pod = stage.pod(0, "pod");
    // Listed, but not usable: it terminates and does not serve any more.
    let gone = Conditions { ready: false, serving: false, terminating: true };
    for (number, endpoints) in [(1, Vec::new()), (2, vec![pod.endpoint(gone)])] {
        for service in [service(number), external_local(number)] {
            stage.serve(&service, &endpoints);
            let dials = stage.dials(number, &KINDS);
            let ((), [refused]) = stage.counted([Counter::PacketNoEndpoint], || {
                dials.iter().for_each(|(protocol, to)| assert_refused(&**stage.client(), *protocol, *to));
            });
            assert_eq!(refused, dials.len() as u64, "one packet of each is answered");
        }
    }
    drop(pod);
    stage.assert_nothing_left();
}
