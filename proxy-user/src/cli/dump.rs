//! `shunt dump`: what the kernel holds.

use super::{args::DumpArgs, document::Document, table};
use crate::kernel::Kernel;
use std::process::ExitCode;

/// Prints the pinned maps, decoded.
pub fn dump(args: &DumpArgs) -> anyhow::Result<ExitCode> {
    let maps = Kernel::read_only(&args.pins.pin_path)?;
    table::print(&Document::read(&maps)?, args.output)?;
    Ok(ExitCode::SUCCESS)
}
