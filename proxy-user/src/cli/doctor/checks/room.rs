//! How full the maps are, and what they take.

use crate::{
    cli::{
        doctor::finding::{Check, State},
        status::{MapStatus, map_status},
    },
    kernel::PinnedMaps,
};
use proxy_common::abi::Counter;
use serde_json::json;

/// From here on a map is nearly full: where it grows by itself, it does at this mark.
const NEARLY: u64 = 80;

/// Looks at the maps' fill.
pub fn room(maps: &PinnedMaps) -> Check {
    let mut check = Check::new("maps");
    match map_status(maps) {
        Ok(status) => judge(&mut check, &status),
        Err(error) => check.unseen("map-fill", "how full the maps are", &error),
    }
    match maps.counters() {
        Ok(counters) => judge_counters(&mut check, &counters),
        Err(error) => check.unseen("counters", "the counters", &error),
    }
    check
}

fn judge(check: &mut Check, maps: &[MapStatus]) {
    let bytes: u64 = maps.iter().map(|map| map.bytes).sum();
    check.see(format!("{} maps, {} KiB of kernel memory", maps.len(), bytes / 1024));
    check.fact("bytes", bytes);
    let documents = maps
        .iter()
        .map(|map| json!({"map": map.map, "used": map.used, "capacity": map.capacity, "bytes": map.bytes}));
    check.fact("maps", documents.collect::<Vec<_>>());
    let filled: Vec<_> =
        maps.iter().filter_map(|map| Some((map, map.used.filter(|used| *used > 0)?))).collect();
    let line = filled.iter().map(|(map, used)| format!("{} {used}/{}", map.map, map.capacity));
    check.see(line.collect::<Vec<_>>().join(", "));
    // A full LRU map makes room by itself: FLOWS has its own remedy.
    let tables = filled.iter().filter(|(map, _)| !matches!(map.map, "FLOWS" | "DEVICES"));
    for (map, used) in tables {
        let (used, capacity) = (u64::from(*used), u64::from(map.capacity));
        let remedy = format!(
            "give the agent {} and start it again; or more --map-memory, so that it may grow",
            option(map.map)
        );
        if used >= capacity {
            check.find(
                (State::Degraded, "map-full"),
                format!("{} is full: {used} of {capacity}", map.map),
                "Services and endpoints that find no room are not balanced; those that are in it are",
                remedy,
            );
        } else if used * 100 >= capacity * NEARLY {
            check.find(
                (State::Notice, "map-nearly-full"),
                format!("{} is nearly full: {used} of {capacity}", map.map),
                "what finds no room is not balanced",
                remedy,
            );
        }
    }
}

/// The option that makes a map larger.
fn option(map: &str) -> &'static str {
    match map {
        "FRONTENDS4" | "FRONTENDS6" => "a larger --max-frontends",
        "SERVICES" | "NAMES" => "a larger --max-services",
        "SLOTS" | "BACKENDS" => "a larger --max-endpoints",
        _ => "fewer source ranges",
    }
}

fn judge_counters(check: &mut Check, counters: &[u64; Counter::COUNT]) {
    let of = |counter: Counter| counters[counter as usize];
    let notable = [
        (
            Counter::Inconsistent,
            "an entry of a map led nowhere: `shunt doctor` looks for it in `tables`",
            "shunt doctor --repair",
        ),
        (Counter::ReverseFull, "connections were refused for want of room", "a larger --max-sockets"),
        (Counter::FlowsFull, "packets were dropped for want of room", "a larger --max-flows"),
        (Counter::PortsExhausted, "packets were dropped for want of a source port", "a larger --snat-ports"),
    ];
    for (counter, why, remedy) in notable.into_iter().filter(|(counter, ..)| of(*counter) > 0) {
        let since = format!("{} stands at {} since the maps were made", counter.name(), of(counter));
        check.find((State::Notice, "counter"), since, why, remedy);
    }
    check.fact(
        "counters",
        Counter::ALL
            .iter()
            .map(|counter| (counter.name().to_owned(), of(*counter).into()))
            .collect::<serde_json::Map<_, _>>(),
    );
}
