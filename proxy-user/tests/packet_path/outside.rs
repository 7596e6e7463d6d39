//! Clients outside, by every kind of frontend.

use crate::{
    ask::{PROTOCOLS, Seen, assert_answers},
    service::{KINDS, frontend, ready, service},
    stage::Stage,
};
use shunt::model::Family;

#[test]
fn a_pod_of_the_node_sees_the_client_itself() {
    let Some(mut stage) = Stage::usual() else { return };
    let (bridged, routed) = (stage.pod(0, "bridged"), stage.routed_pod(0, "routed"));
    for (number, backend) in (1..).zip([&bridged, &routed]) {
        stage.serve(&service(number), &ready(&[backend]));
        for (family, kind) in Family::BOTH.into_iter().flat_map(|family| KINDS.map(|kind| (family, kind))) {
            let to = frontend(number, kind, family, stage.node());
            for protocol in PROTOCOLS {
                assert_answers(&**stage.client(), protocol, to, backend.name(), Seen::Client);
            }
        }
    }
    drop((bridged, routed));
    stage.assert_nothing_left();
}
