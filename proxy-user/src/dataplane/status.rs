//! What a dataplane is doing, in numbers.

use crate::{
    kernel::{Attachment, MapName},
    table::Usage,
    writer::Capacities,
};
use proxy_common::abi::Counter;

/// A reading of a dataplane.
#[derive(Clone, Debug)]
pub struct Status {
    /// Entries in use.
    pub usage: Usage,
    /// Sizes of the maps.
    pub capacities: Capacities,
    /// Bytes of kernel memory by map.
    pub memory: Vec<(MapName, u64)>,
    /// The programs.
    pub attachments: Vec<Attachment>,
    /// Totals by reason.
    pub counters: Vec<(Counter, u64)>,
}
