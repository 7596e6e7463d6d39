//! `shunt plan`: the engine over maps in memory.

use super::{args::PlanArgs, document::Document, problems, table};
use crate::{
    engine::Engine,
    model::{Event, Node},
    source::manifests::ManifestSet,
    writer::MemoryMaps,
};
use std::process::ExitCode;

/// Prints what the node would program. Exit code 1 if something was left out.
pub fn plan(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let (_, changes) = ManifestSet::load(&args.manifests.paths)?;
    let broken = problems::log_problems(&changes.problems);
    let mut engine = Engine::new(args.manifests.node.as_str(), MemoryMaps::new(&args.capacities.into()))?;
    changes.events.into_iter().for_each(|event| engine.apply(event));
    if let Some(zone) = &args.zone {
        let node = engine.cluster().node().cloned();
        let node =
            node.unwrap_or_else(|| Node { name: args.manifests.node.as_str().into(), ..Node::default() });
        engine.apply(Event::NodeApplied(Node { zone: Some(zone.into()), ..node }));
    }
    let report = engine.sync()?;
    problems::log_room(&report);
    table::print(&Document::read(engine.writer())?, args.output)?;
    Ok(ExitCode::from(u8::from(broken || !report.newly_unplaced.is_empty())))
}
