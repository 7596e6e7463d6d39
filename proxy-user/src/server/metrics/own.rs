//! Metrics of Shunt's own.

use super::{
    api::ApiSnapshot,
    decisions::{outcome, path},
    kernel::KernelSnapshot,
    page::{Labels, Page},
    state::{Place, State},
};
use crate::{
    kernel::{PROGRAMS, sys, watchman::Fault},
    table::Usage,
    writer::Capacities,
};
use proxy_common::abi::{ABI_VERSION, Counter};
use std::{collections::BTreeMap, fmt};

/// Maps whose size follows [`Capacities`].
pub(super) const MAPS: usize = 13;

/// Writes what the agent has told.
pub(super) fn write(page: &mut Page<'_>, state: &State) -> fmt::Result {
    let abi = ABI_VERSION.to_string();
    let build = [("version", env!("CARGO_PKG_VERSION")), ("abi_version", abi.as_str())];
    page.info("shunt_build", "The version of Shunt, and of the layout of its maps.", build)?;
    page.counter(
        "shunt_sync_failures",
        "Syncs that failed because the kernel refused a call.",
        state.failures.get(),
    )?;
    page.histograms(
        "shunt_change_age_seconds",
        "Time from when the oldest change of a sync was read to when the maps held all of its changes, in seconds.",
        [([] as Labels<'_, 0>, &state.change_age)],
    )?;
    let operations = [
        ("store", &state.stores),
        ("put", &state.puts),
        ("delete", &state.deletes),
        ("prefix", &state.prefixes),
        ("grace_period", &state.grace_periods),
    ];
    page.counters(
        "shunt_map_operations",
        "What syncs have done to the maps, by kind.",
        operations.map(|(kind, count)| ([("kind", kind)], count.get())),
    )?;
    page.counter(
        "shunt_audits",
        "Comparisons of the maps with what is known (SIGUSR2).",
        state.audits.get(),
    )?;
    page.counter(
        "shunt_audit_writes",
        "Writes by which comparisons have mended maps that somebody else had written to.",
        state.audit_writes.get(),
    )?;
    write_maps(page, state)?;
    page.gauge(
        "shunt_service_ports_unplaced",
        "Service ports that do not fit into the maps, wholly or in part.",
        state.unplaced.get(),
    )?;
    page.gauge(
        "shunt_frontend_conflicts",
        "Addresses and ports that more than one Service claims.",
        state.conflicts.get(),
    )?;
    page.counter(
        "shunt_flow_entries_expired",
        "Entries of FLOWS that were removed because their flow was silent or over; a flow has two.",
        state.expired.get(),
    )?;
    page.counter(
        "shunt_stale_sockets_closed",
        "Connected UDP sockets that were closed because their endpoint is gone.",
        state.sockets_closed.get(),
    )?;
    let watched = state.watched();
    let labels = |(hook, fault): Place| [("hook", hook), ("reason", fault)];
    page.counters(
        "shunt_attachments_restored",
        "Programs and pins that were missing and that the agent has restored.",
        restored(watched.restored).map(|(place, count)| (labels(place), count)),
    )?;
    page.gauges(
        "shunt_attachment_faults",
        "What is not as it should be about programs and pins and was not restored, programs of others included.",
        watched.found.into_iter().map(|(place, count)| (labels(place), count)),
    )?;
    page.counter(
        "shunt_bpf_calls",
        "Calls of bpf(2) by this process, those of scrapes included.",
        sys::calls(),
    )?;
    page.counter(
        "shunt_kernel_read_failures",
        "Scrapes that could not read from the kernel; what comes from there is missing in them.",
        state.unreadable.get(),
    )
}

/// Of what is most likely to happen there is a total from the beginning, so that the first time is seen as an increase.
fn restored(mut counts: BTreeMap<Place, u64>) -> impl Iterator<Item = (Place, u64)> {
    for (program, _) in PROGRAMS {
        counts.entry((program, Fault::Detached.word())).or_default();
    }
    counts.into_iter()
}

fn write_maps(page: &mut Page<'_>, state: &State) -> fmt::Result {
    let maps = state.maps();
    // Their entries come and go by packets and sockets; they are counted now and then.
    let remembered = [
        ("FLOWS", maps.flows.map(|entries| u32::try_from(entries).unwrap_or(u32::MAX))),
        ("UDP_FLOWS", maps.remembered.udp_flows),
        ("REVERSE", maps.remembered.reverse),
        ("AFFINITY", maps.remembered.affinities),
    ];
    let remembered = remembered.into_iter().filter_map(|(map, entries)| Some((map, entries?)));
    let used = maps.known.iter().flat_map(|(usage, _)| used(usage)).chain(remembered);
    page.gauges(
        "shunt_map_entries",
        "Entries of a map that are in use.",
        used.map(|(map, count)| ([("map", map)], count)),
    )?;
    page.gauges(
        "shunt_map_capacity_entries",
        "Entries that a map has room for.",
        maps.known.iter().flat_map(|(_, room)| room_of(room)).map(|(map, count)| ([("map", map)], count)),
    )?;
    if let Some(bytes) = maps.limit {
        let help = "Kernel memory that all maps together may grow to.";
        page.gauge("shunt_map_memory_limit_bytes", help, bytes)?;
    }
    let growths = maps.known.iter().flat_map(|(_, room)| room_of(room)).zip(maps.growths);
    page.counters(
        "shunt_map_growths",
        "Times that a map was made anew with more room.",
        growths.map(|((map, _), count)| ([("map", map)], count)),
    )?;
    page.counter(
        "shunt_map_growth_failures",
        "Times that maps could not be made larger.",
        state.growth_failures.get(),
    )
}

fn used(usage: &Usage) -> [(&'static str, u32); 8] {
    let Usage { frontends4, frontends6, services, slots, backends, name_cells, source_ranges, networks } =
        *usage;
    [
        ("FRONTENDS4", frontends4),
        ("FRONTENDS6", frontends6),
        ("SERVICES", services),
        ("SLOTS", slots),
        ("BACKENDS", backends),
        ("NAMES", name_cells),
        ("SOURCE_RANGES", source_ranges),
        ("NETWORKS", networks),
    ]
}

/// Each map whose size follows [`Capacities`], with its size.
pub(super) fn room_of(capacities: &Capacities) -> [(&'static str, u32); MAPS] {
    let Capacities { frontends, services, slots, backends, name_cells, sockets, affinities, flows, prefixes } =
        *capacities;
    [
        ("FRONTENDS4", frontends),
        ("FRONTENDS6", frontends),
        ("SERVICES", services),
        ("SLOTS", slots),
        ("BACKENDS", backends),
        ("NAMES", name_cells),
        ("SOURCE_RANGES", prefixes),
        ("NETWORKS", prefixes),
        ("FLOWS", flows),
        ("UDP_FLOWS", sockets),
        ("REVERSE", sockets),
        ("AFFINITY", affinities),
        ("STATS", services),
    ]
}

/// Writes what the kernel has said.
pub(super) fn write_kernel(page: &mut Page<'_>, state: &State, kernel: &KernelSnapshot) -> fmt::Result {
    page.gauges(
        "shunt_map_memory_bytes",
        "Kernel memory of a map.",
        kernel.memory.iter().map(|(map, bytes)| ([("map", *map)], *bytes)),
    )?;
    page.gauges(
        "shunt_attachments_wanted",
        "Attachments that should be in effect: programs on the cgroup, devices with both programs.",
        [([("to", "cgroup")], PROGRAMS.len() as u64), ([("to", "device")], state.devices_wanted.get())],
    )?;
    page.gauges(
        "shunt_attachments_in_effect",
        "Attachments that the kernel says are in effect.",
        [([("to", "cgroup")], kernel.programs_in_effect), ([("to", "device")], kernel.devices_in_effect)],
    )?;
    page.counters(
        "shunt_datapath_events",
        "What the programs in the kernel have decided, by reason; it goes on while no agent runs.",
        Counter::ALL.into_iter().zip(kernel.counters).map(|(counter, count)| {
            let labels = [("path", path(counter)), ("outcome", outcome(counter)), ("reason", counter.name())];
            (labels, count)
        }),
    )
}

/// Writes what a source has told of its API server.
pub(super) fn write_api(page: &mut Page<'_>, api: &ApiSnapshot) -> fmt::Result {
    page.counters(
        "shunt_api_requests",
        "Requests to the API server by verb and by what came of them.",
        api.requests.iter().map(|(verb, outcome, count)| ([("verb", *verb), ("outcome", *outcome)], *count)),
    )?;
    for (name, help, total) in [
        ("shunt_api_reconnects", "Connections that were begun anew after one that failed.", api.reconnects),
        ("shunt_api_relists", "Lists that were begun after the first complete one.", api.relists),
        ("shunt_api_failovers", "Changes to another API server.", api.failovers),
        (
            "shunt_api_objects_refused",
            "Objects from the API server that could not be read.",
            api.refused_objects,
        ),
        ("shunt_api_received_bytes", "Bytes of the API server's answers.", api.bytes),
    ] {
        page.counter(name, help, total)?;
    }
    page.gauge(
        "shunt_api_deletions_held_back",
        "Deletions that the guard against an absurdly small list keeps from being applied.",
        api.held_back,
    )?;
    match api.silence {
        Some(silence) => page.gauge(
            "shunt_api_last_contact_age_seconds",
            "Time since the API server was heard of last, in seconds.",
            silence.as_secs_f64(),
        ),
        None => Ok(()),
    }
}
