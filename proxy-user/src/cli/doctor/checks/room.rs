//! How full the maps are, and what they take.

use crate::{
    cli::{
        args::CapacityArgs,
        doctor::{
            finding::{Check, State},
            subject::Subject,
        },
        status::{MapStatus, map_status},
    },
    kernel::PinnedMaps,
};
use proxy_common::abi::Counter;
use serde_json::json;

/// From here on a map is nearly full: where it grows by itself, it does at this mark.
const NEARLY: u64 = 80;

/// Looks at the maps' fill.
///
/// `agrees`: the tables do, so that nothing is left of what was counted as inconsistent.
pub fn room(subject: &Subject, maps: &PinnedMaps, agrees: bool) -> Check {
    let mut check = Check::new("maps");
    match map_status(maps) {
        Ok(status) => judge(&mut check, subject, &status),
        Err(error) => check.unseen("map-fill", "how full the maps are", &error),
    }
    match maps.counters() {
        Ok(counters) => judge_counters(&mut check, subject, &counters, agrees),
        Err(error) => check.unseen("counters", "the counters", &error),
    }
    check
}

fn judge(check: &mut Check, subject: &Subject, maps: &[MapStatus]) {
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
        let remedy = remedy(subject, map.map);
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

type Given = fn(&CapacityArgs) -> Option<u32>;

/// What makes a map larger: the option that the agent was given and that binds, or memory to grow into.
pub fn remedy(subject: &Subject, map: &str) -> String {
    let (option, given) = match map {
        "FRONTENDS" | "FRONTENDS4" | "FRONTENDS6" => {
            ("--max-frontends", (|sizes| sizes.max_frontends) as Given)
        }
        "SERVICES" | "NAMES" => ("--max-services", (|sizes| sizes.max_services) as Given),
        "SLOTS" | "BACKENDS" => ("--max-endpoints", (|sizes| sizes.max_endpoints) as Given),
        _ => return "give the agent more --map-memory and start it again; or fewer source ranges".to_owned(),
    };
    match subject.agent.as_ref().map(|agent| given(&agent.capacities)) {
        Some(Some(size)) => format!(
            "give the agent a larger {option} than {size}, or leave it out so that the map may grow, and start it again"
        ),
        Some(None) => {
            "give the agent more --map-memory, so that the map may grow, and start it again".to_owned()
        }
        None => {
            format!("start the agent with a larger {option} if it was given one, else with more --map-memory")
        }
    }
}

fn judge_counters(check: &mut Check, subject: &Subject, counters: &[u64; Counter::COUNT], agrees: bool) {
    let of = |counter: Counter| counters[counter as usize];
    let repair = subject.command("doctor --repair");
    if of(Counter::Inconsistent) > 0 {
        let (name, count) = (Counter::Inconsistent.name(), of(Counter::Inconsistent));
        let (what, remedy) = if agrees {
            let what = format!("{name} was counted {count} times since the maps were made; tables agree now");
            (what, format!("nothing to do; if it rises: {repair}"))
        } else {
            (format!("{name} stands at {count} since the maps were made"), repair)
        };
        let why = "an entry of a map led nowhere when it was used: see `tables`";
        check.find((State::Notice, "counter"), what, why, remedy);
    }
    let notable = [
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
