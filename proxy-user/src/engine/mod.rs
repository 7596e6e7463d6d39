//! The straight line from an event to the maps: cluster, select, table, writer.

mod audit;
mod execute;
mod grow;
mod health;
mod node;
mod report;
mod rules;
mod run;

pub use grow::{Growth, Remembered};
pub use health::{HealthChange, HealthReport};
pub use report::{SyncReport, Unplaced};
pub use rules::Rules;
pub use run::Engine;
