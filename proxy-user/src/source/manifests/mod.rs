//! Manifest files as a source: YAML (many documents) and JSON, files and directories.
//!
//! ```text
//! paths ──listing──▶ file ──document──▶ value ──object──▶ model ──set──▶ events
//!                     ▲ read again when watcher sees a change
//! ```
//!
//! [`ManifestSet`] reads everything once and, on request, again, and gives only what differs.
//! [`ManifestWatcher`] requests it whenever a file changes. Both fail static: a document that cannot
//! be read is reported, and what it said when it last could be read stays in force.

mod debounce;
mod diff;
mod document;
mod file;
mod json;
mod listing;
mod object;
mod problem;
mod set;
mod unknown;
mod watcher;
mod watches;

pub use crate::source::Severity;
pub use problem::{ManifestError, Place, Problem};
pub use set::{Changes, ManifestSet};
pub use watcher::ManifestWatcher;
