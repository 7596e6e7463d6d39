//! Sizes to grow to.

use shunt::writer::Capacities;

/// The maps that only the agent writes.
pub fn config(now: &Capacities) -> Capacities {
    Capacities {
        frontends: 100 + now.frontends,
        services: 64 + now.services,
        slots: now.slots + now.slots.min(4_096),
        backends: 100 + now.backends,
        name_cells: now.name_cells + now.name_cells.min(4_096),
        prefixes: 100 + now.prefixes,
        ..*now
    }
}

/// The maps that programs write.
pub fn remembered(now: &Capacities) -> Capacities {
    Capacities {
        sockets: 1_000 + now.sockets,
        affinities: 500 + now.affinities,
        flows: 1_000 + now.flows,
        ..*now
    }
}

/// All of them.
pub fn all(now: &Capacities) -> Capacities {
    remembered(&config(now))
}
