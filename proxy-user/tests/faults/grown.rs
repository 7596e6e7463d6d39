//! Maps that are too small are made anew with more room, while everything goes on.

use crate::{cluster, pins::maps, scale::Scale, stage::Stage, wait_until, wait_within};
use shunt::kernel::sys::{Access, MapFd};
use std::time::Duration;

/// Sizes to begin with, which a later agent may let grow.
const SMALL: [(&str, &str); 6] = [
    ("--max-frontends", "1024"),
    ("--max-services", "512"),
    ("--max-endpoints", "1024"),
    ("--max-flows", "49152"),
    ("--max-affinities", "64"),
    ("--max-sockets", "512"),
];

/// Entries of FLOWS to begin with, and how long it takes until it is noticed that they are too few.
const FLOWS: u32 = 49_152;
const COUNTED: Duration = Duration::from_secs(150);

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
    assert_eq!(entries(&stage, "FLOWS"), FLOWS, "the next agent has taken over what there was");
    let mut services = SERVICES;
    let injected = "maps begin with room for 512 service ports, 49 152 entries of flows, 64 of clients with affinity; Services \
                    are added until they do not fit, and twice as many each time";
    stage.suffer("maps grow", injected, |stage, outcome| {
        let before = entries(stage, "SERVICES");
        stage.site.save("fillers.json", &cluster::fillers(services));
        wait_until("SERVICES grows", || entries(stage, "SERVICES") > before);
        stage.change();
        outcome.serve();
        // The agent counts once a minute what programs write.
        if Scale::is_full() {
            wait_within(COUNTED, "FLOWS grows", || entries(stage, "FLOWS") > FLOWS);
        }
        services *= 2;
    });
}
