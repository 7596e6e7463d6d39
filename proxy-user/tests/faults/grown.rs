//! Maps that are too small are made anew with more room, while everything goes on.

use crate::{cluster, pins::maps, stage::Stage, wait_until};
use shunt::kernel::sys::{Access, MapFd};

/// Sizes to begin with, which a later agent may let grow.
const SMALL: [(&str, &str); 6] = [
    ("--max-frontends", "1024"),
    ("--max-services", "512"),
    ("--max-endpoints", "1024"),
    ("--max-flows", "1024"),
    ("--max-affinities", "64"),
    ("--max-sockets", "512"),
];

/// More Services than there is room for; each growth is followed by twice as many.
const SERVICES: u16 = 600;

fn entries(stage: &Stage, map: &str) -> u32 {
    MapFd::open(&maps(stage).join(map), Access::Read).unwrap().shape().max_entries
}

#[test]
fn maps_grow() {
    let Some(mut stage) = Stage::new() else { return };
    stage.arguments =
        SMALL.iter().flat_map(|(name, value)| [name, value].map(|word| (*word).to_owned())).collect();
    stage.start();
    stage.stop();
    stage.arguments.clear();
    stage.start();
    assert_eq!(entries(&stage, "FLOWS"), 1024, "the next agent has taken over what there was");
    let mut services = SERVICES;
    let injected = "maps begin with room for 512 service ports, 1 024 entries of flows, 64 of clients with affinity; Services \
                    are added until they do not fit, and twice as many each time";
    stage.suffer("maps grow", injected, |stage, outcome| {
        let before = entries(stage, "SERVICES");
        stage.site.save("fillers.json", &cluster::fillers(services));
        wait_until("SERVICES grows", || entries(stage, "SERVICES") > before);
        stage.change();
        outcome.serve();
        wait_until("FLOWS has grown", || entries(stage, "FLOWS") > 1024);
        services *= 2;
    });
}
