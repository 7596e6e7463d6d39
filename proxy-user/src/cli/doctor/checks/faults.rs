//! What the watchman finds (`kernel::watchman`), as findings of the doctor: one for each fault, with every place of it.

use super::some;
use crate::{
    cli::doctor::finding::{Check, State},
    kernel::watchman::{Fault, Finding, Severity},
};
use std::collections::BTreeMap;

/// What comes of a fault, and what to do.
pub struct Meaning {
    /// Its name in JSON.
    pub id: &'static str,
    pub why: &'static str,
    pub remedy: String,
}

/// Notes faults, one finding for each kind and severity. `state` says how bad one is to the node as a whole.
pub fn note(
    check: &mut Check,
    faults: &[&Finding],
    state: impl Fn(&Finding) -> State,
    meaning: impl Fn(Fault) -> Meaning,
) {
    let mut kinds: BTreeMap<Fault, Vec<&Finding>> = BTreeMap::new();
    for fault in faults {
        kinds.entry(fault.fault).or_default().push(fault);
    }
    for (fault, all) in kinds {
        let Some(worst) = all.iter().map(|finding| state(finding)).max() else { continue };
        let Meaning { id, why, remedy } = meaning(fault);
        check.find((worst, id), text(&all), why, remedy);
    }
}

/// What is said of several places at once: their names, and the sentence of the first.
fn text(all: &[&Finding]) -> String {
    let hooks: Vec<_> = all.iter().map(|finding| finding.hook.to_string()).collect();
    let first = all.first().map(|finding| finding.text.as_str()).unwrap_or_default();
    match hooks.len() {
        1 => format!("{}: {first}", hooks[0]),
        count => format!("{} ({count}); the first one: {first}", some(&hooks)),
    }
}

/// How bad a fault is where nothing else is known of the place.
pub const fn usual(finding: &Finding) -> State {
    match (finding.fault, finding.severity) {
        (Fault::Unknown, _) => State::Unknown,
        (_, Severity::Note) => State::Notice,
        (_, Severity::Degraded | Severity::Broken) => State::Degraded,
    }
}
