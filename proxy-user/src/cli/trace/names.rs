//! Whom a decision is about.

use crate::{
    view::{Owners, ServiceName, port_id},
    writer::{MapReader, WriteError},
};
use proxy_common::abi::TraceEvent;
use std::time::{Duration, Instant};

/// Frontends are read again for an address that nobody has, at most so often: each time is a read of the whole maps.
const UNKNOWN: Duration = Duration::from_secs(1);
/// And for any other after so long: an address may belong to another Service by now.
const KNOWN: Duration = Duration::from_secs(10);

/// Names decisions. A service port's name is read where it is shown, so it is never an old one.
#[derive(Default)]
pub struct Names {
    owners: Owners,
    read: Option<Instant>,
}

impl Names {
    /// The name of what an event is about.
    ///
    /// # Errors
    /// Where the frontends cannot be read.
    pub fn of(
        &mut self,
        maps: &impl MapReader,
        event: &TraceEvent,
        now: Instant,
    ) -> Result<Option<ServiceName>, WriteError> {
        if event.service != TraceEvent::NO_SERVICE {
            return Ok(port_id(maps, event.service).map(ServiceName::from));
        }
        let found = self.owners.name(maps, event);
        let patience = if found.is_some() { KNOWN } else { UNKNOWN };
        if self.read.is_some_and(|read| now.saturating_duration_since(read) < patience) {
            return Ok(found);
        }
        self.owners = Owners::read(maps)?;
        self.read = Some(now);
        Ok(self.owners.name(maps, event))
    }
}
