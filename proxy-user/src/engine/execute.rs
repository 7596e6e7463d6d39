//! Carrying out a plan and telling the table how far the kernel got.

use super::SyncReport;
use crate::{
    table::{Plan, Progress, Table},
    writer::{WriteError, Writer},
};

/// Carries out a plan in its order; afterwards the plan is empty. What the kernel refused stays
/// planned in the table.
///
/// # Errors
/// The first call that failed. Those after it were not made, but for puts of frontends; stores cannot fail.
pub(super) fn execute<W: Writer>(
    plan: &mut Plan,
    table: &mut Table,
    writer: &mut W,
    report: &mut SyncReport,
) -> Result<(), WriteError> {
    store_all(plan, writer, report);
    let mut done = Progress::default();
    let outcome = call_all(plan, writer, &mut done);
    report.deletes += done.deletes;
    report.puts += done.puts;
    report.prefixes += done.prefix_puts + done.prefix_deletes;
    table.settled(plan, &done);
    // Backends of what no frontend leads to any more get their next generation.
    store_all(plan, writer, report);
    plan.clear();
    outcome
}

/// Carries out the system calls of a plan, in its order, up to the first that fails. But frontends are put
/// although prefixes could not be: a service port whose source ranges are missing lets nobody in, and the
/// others must not wait for it.
fn call_all<W: Writer>(plan: &Plan, writer: &mut W, done: &mut Progress) -> Result<(), WriteError> {
    note(&mut done.deletes, &plan.deletes, |keys| writer.delete_frontends(keys))?;
    let prefixes = note(&mut done.prefix_puts, &plan.prefix_puts, |entries| writer.put_prefixes(entries))
        .and_then(|()| {
            note(&mut done.prefix_deletes, &plan.prefix_deletes, |keys| writer.delete_prefixes(keys))
        });
    prefixes.and(note(&mut done.puts, &plan.puts, |entries| writer.put_frontends(entries)))
}

/// Makes one request, if it asks for anything, and notes how much of it was carried out.
fn note<T>(
    done: &mut usize,
    request: &[T],
    call: impl FnOnce(&[T]) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    if request.is_empty() {
        return Ok(());
    }
    let outcome = call(request);
    *done = outcome.as_ref().map_or_else(|error| error.done, |()| request.len());
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
