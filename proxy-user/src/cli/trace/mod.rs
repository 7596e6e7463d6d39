//! `shunt trace`: decisions as they are made.

mod clock;
mod devices;
mod filter;
mod line;
mod names;
#[cfg(test)]
mod tests;

pub use filter::{Addresses, Outcome, Protocol, ServiceFilter};

use super::{
    args::Output,
    ending::{Ending, Woken},
    live,
    span::Span,
    watch_args::TraceArgs,
};
use crate::{kernel::Watcher, view::DecisionView};
use anyhow::bail;
use clock::Clock;
use devices::Devices;
use filter::Filter;
use line::{DecisionDocument, Lines};
use names::Names;
use std::{
    io::{self, BufWriter, Stdout, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
    time::{Duration, Instant},
};

/// How often the lease is renewed: twice at least before it ends.
const RENEWAL: Duration = Duration::from_secs(1);

/// Decisions between two looks at the clock and the signals.
const BATCH: usize = 1024;

/// Shows decisions until the user has seen enough.
pub fn trace(args: &TraceArgs) -> anyhow::Result<ExitCode> {
    let ending = Ending::catch()?;
    let mut session = Session::new(args)?;
    let end = args.time.map(|Span(time)| Instant::now() + time);
    let mut renewal = Instant::now() + RENEWAL;
    session.renew()?;
    session.begin()?;
    while !session.is_done() {
        let due = end.map_or(renewal, |end| end.min(renewal));
        match ending.wait(Some(session.watcher.as_fd()), due)? {
            Woken::Told => break,
            Woken::Readable => session.show()?,
            Woken::Due => {}
        }
        if end.is_some_and(|end| end <= Instant::now()) {
            break;
        }
        if renewal <= Instant::now() {
            renewal = Instant::now() + RENEWAL;
            session.renew()?;
        }
    }
    // What was decided before the end.
    session.show()?;
    session.report_lost()?;
    Ok(ExitCode::SUCCESS)
}

struct Session<'a> {
    watcher: Watcher,
    filter: Filter<'a>,
    output: Output,
    /// Decisions that are yet to be shown; `None` for no end.
    left: Option<u64>,
    names: Names,
    devices: Devices,
    clock: Clock,
    lines: Lines,
    out: BufWriter<Stdout>,
}

impl<'a> Session<'a> {
    fn new(args: &'a TraceArgs) -> anyhow::Result<Self> {
        Ok(Self {
            watcher: live::watch(&args.pins.pin_path)?,
            filter: Filter(args),
            output: args.output,
            left: args.count,
            names: Names::default(),
            devices: Devices::open()?,
            clock: Clock::read(),
            lines: Lines::default(),
            out: BufWriter::new(io::stdout()),
        })
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        if self.output == Output::Table {
            writeln!(self.out, "{}", self.lines.header())?;
            self.out.flush()?;
        }
        tracing::info!("decisions are shown as they are made; Ctrl-C ends it");
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// Goes on watching.
    fn renew(&mut self) -> anyhow::Result<()> {
        if let Some(gap) = self.watcher.renew() {
            tracing::warn!(
                ?gap,
                "nobody watched for a while, since what is shown here was not read: decisions are missing"
            );
        }
        self.clock = Clock::read();
        self.report_lost()?;
        if !self.watcher.maps().are_pinned() {
            bail!("the maps were removed from the pin path while they were watched");
        }
        Ok(())
    }

    fn report_lost(&mut self) -> anyhow::Result<()> {
        let lost = self.watcher.lost()?;
        if lost > 0 {
            tracing::warn!(lost, "decisions were made faster than they are shown here, and are missing");
        }
        Ok(())
    }

    /// Shows the decisions that are there, or some of them.
    fn show(&mut self) -> anyhow::Result<()> {
        for _ in 0..BATCH {
            if self.is_done() {
                break;
            }
            let Some(event) = self.watcher.next_event() else { break };
            let Some(mut decision) = DecisionView::decode(&event, None) else { continue };
            if !self.filter.passes(&decision) {
                continue;
            }
            decision.service = self.names.of(self.watcher.maps(), &event, Instant::now())?;
            if self.filter.passes_service(decision.service.as_ref()) {
                self.write(&decision)?;
                self.left = self.left.map(|left| left - 1);
            }
        }
        self.out.flush()?;
        Ok(())
    }

    fn write(&mut self, decision: &DecisionView) -> anyhow::Result<()> {
        let moment = self.clock.moment(decision.time);
        let device = decision.device.map(|index| self.devices.name(index));
        match self.output {
            Output::Json => {
                let document = DecisionDocument::new(moment, decision, device.as_deref());
                serde_json::to_writer(&mut self.out, &document)?;
                writeln!(self.out)?;
            }
            Output::Table => writeln!(self.out, "{}", self.lines.line(moment, decision, device.as_deref()))?,
        }
        Ok(())
    }
}
