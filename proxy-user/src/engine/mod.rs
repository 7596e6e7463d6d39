//! The straight line from an event to the maps: cluster, select, table, writer.

mod execute;
mod node;
mod report;
mod rules;
mod run;

pub use report::{SyncReport, Unplaced};
pub use rules::Rules;
pub use run::Engine;
