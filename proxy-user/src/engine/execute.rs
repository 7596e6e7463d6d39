//! Carrying out a plan and telling the table how far the kernel got.

use super::SyncReport;
use crate::{
    table::{Plan, Table},
    writer::{WriteError, Writer},
};

/// Carries out a plan in its order; afterwards the plan is empty. What the kernel refused stays
/// planned in the table.
///
/// # Errors
/// The first call that failed. Deletes and puts after it were not tried; stores cannot fail.
pub(super) fn execute<W: Writer>(
    plan: &mut Plan,
    table: &mut Table,
    writer: &mut W,
    report: &mut SyncReport,
) -> Result<(), WriteError> {
    store_all(plan, writer, report);
    let (mut deletes, mut puts, mut outcome) = (plan.deletes.len(), plan.puts.len(), Ok(()));
    if deletes > 0
        && let Err(error) = writer.delete_frontends(&plan.deletes)
    {
        (deletes, puts, outcome) = (error.done, 0, Err(error));
    }
    if puts > 0
        && let Err(error) = writer.put_frontends(&plan.puts)
    {
        (puts, outcome) = (error.done, Err(error));
    }
    report.deletes += deletes;
    report.puts += puts;
    table.settled(plan, deletes, puts);
    // Backends of what no frontend leads to any more get their next generation.
    store_all(plan, writer, report);
    plan.clear();
    outcome
}

/// Waits for a grace period and frees what waited for it.
pub(super) fn wait_and_release<W: Writer>(
    plan: &mut Plan,
    table: &mut Table,
    writer: &mut W,
    report: &mut SyncReport,
) -> Result<(), WriteError> {
    writer.grace_period()?;
    report.grace_periods += 1;
    table.release(plan);
    store_all(plan, writer, report);
    plan.clear();
    Ok(())
}

fn store_all<W: Writer>(plan: &Plan, writer: &mut W, report: &mut SyncReport) {
    plan.stores.iter().for_each(|store| writer.store(store));
    report.stores += plan.stores.len();
}
