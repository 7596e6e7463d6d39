//! `shunt plan`: the engine over maps in memory.

use super::{args::PlanArgs, document::Document, offline, problems, table};
use std::process::ExitCode;

/// Prints what the node would program. Exit code 1 if something was left out.
pub fn plan(args: &PlanArgs) -> anyhow::Result<ExitCode> {
    let PlanArgs { manifests, rules, capacities, output } = args;
    let offline = offline::program(&manifests.paths, &manifests.node, rules, capacities)?;
    problems::log_conflicts(&offline.engine.conflicts());
    table::print(&Document::read(offline.engine.writer())?, *output)?;
    Ok(ExitCode::from(u8::from(offline.incomplete)))
}
