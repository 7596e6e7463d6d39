//! Sizes to grow to.

use shunt::writer::Capacities;

/// The maps that only the agent writes.
pub fn config(now: &Capacities) -> Capacities {
    Capacities {
        frontends: 2 * now.frontends,
        services: 2 * now.services,
        slots: 2 * now.slots,
        backends: 2 * now.backends,
        name_cells: 2 * now.name_cells,
        prefixes: 2 * now.prefixes,
        ..*now
    }
}

/// The maps that programs write.
pub fn remembered(now: &Capacities) -> Capacities {
    Capacities { sockets: 2 * now.sockets, affinities: 2 * now.affinities, flows: 2 * now.flows, ..*now }
}

/// All of them.
pub fn all(now: &Capacities) -> Capacities {
    remembered(&config(now))
}
