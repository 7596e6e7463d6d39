//! `shunt top`: service ports by what they carry.

mod table;
mod tally;

pub use table::Sort;

use super::{
    args::Output,
    ending::{Ending, Woken},
    live,
    watch_args::TopArgs,
};
use anyhow::bail;
use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::Instant,
};
use table::Table;
use tally::{Snapshot, Tally};

/// To the upper left corner, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Prints a table after each interval until it is told to end.
pub fn top(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let maps = live::open(&args.pins.pin_path, "")?;
    let ending = Ending::catch()?;
    let mut tally = Tally::new(Snapshot::read(&maps)?);
    let start = Instant::now();
    let mut last = start;
    tracing::info!(interval = ?args.interval.0, "counting; the first table follows after one interval");
    while ending.wait(None, last + args.interval.0)? == Woken::Due {
        if !maps.are_pinned() {
            bail!("the maps were removed from the pin path while they were watched");
        }
        let next = Snapshot::read(&maps)?;
        let now = Instant::now();
        let table = Table::new(tally.advance(next), args.sort, args.limit as usize, now - start, now - last);
        last = now;
        print(&table, args)?;
        if args.once {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(table: &Table, args: &TopArgs) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match args.output {
        Output::Json => {
            serde_json::to_writer(&mut out, &table.document())?;
            writeln!(out)?;
        }
        Output::Table if args.once => out.write_all(table.render().as_bytes())?,
        Output::Table if out.is_terminal() => write!(out, "{CLEAR}{}", table.render())?,
        Output::Table => writeln!(out, "{}", table.render())?,
    }
    out.flush()?;
    Ok(())
}
