//! Comparing the maps with what is known, for maps that somebody else has written to.

use super::{
    Engine, SyncReport,
    execute::{execute, wait_and_release},
};
use crate::{
    table::{Plan, Table},
    writer::{MapReader, WriteError, Writer},
};

impl<W: Writer + MapReader> Engine<W> {
    /// Takes the maps over anew, as a starting agent does, and writes what differs from what is known. Maps that
    /// nobody else has written to cost reading them, and not one write. `None`, and nothing is written, before the
    /// first complete list.
    ///
    /// What serves goes on serving: indices and generations are kept, but of what is damaged.
    ///
    /// # Errors
    /// Of the call that failed. What was not carried out stays planned: [`Self::sync`] goes on with it.
    pub fn audit(&mut self) -> Result<Option<SyncReport>, WriteError> {
        if !self.synced || self.held {
            return Ok(None);
        }
        let mut report = SyncReport::default();
        // What waits to be reused is not damaged; and what is planned is found again.
        if self.table.wants_grace() {
            wait_and_release(&mut self.plan, &mut self.table, &mut self.writer, &mut report)?;
        }
        let mut plan = Plan::default();
        let (table, adopted) = Table::adopt(&self.writer, &mut plan)?;
        (self.table, self.adopted, self.plan) = (table, adopted, plan);
        self.programmed.clear();
        self.kept.clear();
        self.cluster.mark_all_dirty();
        (self.node_changed, self.synced) = (true, false);
        let mut mended = SyncReport::default();
        if !self.plan.is_empty() {
            self.writer.grace_period()?;
            execute(&mut self.plan, &mut self.table, &mut self.writer, &mut mended)?;
        }
        let mut report = self.sync()?;
        report.stores += mended.stores;
        Ok(Some(report))
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
