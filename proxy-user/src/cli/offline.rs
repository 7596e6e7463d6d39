//! A node in memory: what it would program for manifests. `plan` shows it, `explain` asks it.

use super::{
    agent::OwnNode,
    args::{CapacityArgs, RuleArgs},
    problems,
};
use crate::{
    engine::{Engine, Rules},
    kernel::Machine,
    source::manifests::ManifestSet,
    writer::MemoryMaps,
};
use std::{convert::Infallible, path::PathBuf, time::Duration};

/// What became of the manifests.
pub struct Offline {
    pub engine: Engine<MemoryMaps>,
    /// Something was wrong with a document, or not all fits into the maps; both were logged.
    pub incomplete: bool,
}

/// Programs maps in memory for the node `node`.
///
/// # Errors
/// Where a path cannot be read.
pub fn program(
    paths: &[PathBuf],
    node: &str,
    rules: &RuleArgs,
    capacities: &CapacityArgs,
) -> anyhow::Result<Offline> {
    let (limits, sizes) = capacities.on(&Machine::here());
    let (_, changes) = ManifestSet::load(paths)?;
    let broken = problems::log_problems(&changes.problems);
    let mut engine = Engine::new(node, Rules::from(rules), MemoryMaps::new(&sizes))?;
    engine.limit(limits);
    let mut own = OwnNode::new(node, rules.zone.as_deref()).with_addresses(&rules.node_ip);
    own.first().into_iter().for_each(|event| engine.apply(event));
    changes.events.into_iter().for_each(|event| engine.apply(own.amend(event)));
    let report = engine.sync_growing(|maps, sizes| {
        maps.grow(sizes);
        Ok::<_, Infallible>(Duration::ZERO)
    })?;
    problems::log_room(&report);
    problems::log_missing_node(engine.cluster(), &Rules::from(rules));
    let full = !report.newly_unplaced.is_empty() || report.node_unplaced.is_some();
    Ok(Offline { engine, incomplete: broken || full })
}
