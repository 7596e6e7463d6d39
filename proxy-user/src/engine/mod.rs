//! The straight line from an event to the maps: cluster, select, table, writer.

mod execute;
mod report;
mod run;

pub use report::{SyncReport, Unplaced};
pub use run::Engine;
