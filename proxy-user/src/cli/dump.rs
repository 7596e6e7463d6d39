//! `shunt dump`: what the kernel holds.

use super::{args::DumpArgs, document::Document, live, table};
use std::process::ExitCode;

/// Prints the pinned maps, decoded.
pub fn dump(args: &DumpArgs) -> anyhow::Result<ExitCode> {
    let maps = live::open(&args.pins.pin_path, "")?;
    table::print(&Document::read(&maps)?, args.output)?;
    Ok(ExitCode::SUCCESS)
}
