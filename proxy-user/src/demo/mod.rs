//! `shunt demo`: Shunt at work in a laboratory, with a report for people.
//!
//! ```text
//! stage (lab, servers, agent) ──▶ acts: spread, node_port, affinity, change, drain, refused, cost,
//!                                 without_agent ──▶ report
//! ```

#![forbid(unsafe_code)]

mod affinity;
mod agent;
mod ask;
mod change;
mod cost;
mod crowd;
mod dial;
mod drain;
mod held;
mod interrupt;
mod manifests;
mod needs;
mod node_port;
mod refused;
mod report;
mod save;
mod spread;
mod stage;
mod target;
mod text;
mod without_agent;

use self::{
    interrupt::{Interrupt, Interrupted},
    report::Report,
    stage::Stage,
};
use crate::lab;
use anyhow::Context as _;
use std::{
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// As a shell has it of a program that ended by SIGINT: 128 + 2.
const EXIT_INTERRUPTED: u8 = 130;

/// What the demo cannot be played with.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// No lab can be made on this machine, or not by this user.
    #[error("{0}")]
    Machine(String),
    /// The manifests are not about the services that are shown.
    #[error("the manifests have no {0}, which the demo shows: give it those of Shunt's examples/")]
    Manifests(String),
}

/// Plays all acts on the manifests of `examples/`, or of the same services and pods, and removes
/// everything it made, also when it fails, panics or is told to end.
///
/// # Errors
/// What hinders the demo: manifests that cannot be read, a lab that cannot be made, an agent that does
/// not start. A promise that was not kept is exit code 1, a signal exit code 130.
pub fn demo(manifests: &Path) -> anyhow::Result<ExitCode> {
    needs::check(manifests)?;
    lab::available().map_err(Unfit::Machine)?;
    let mut report = Report::stdout();
    let interrupt = Interrupt::catch().context("waiting for signals")?;
    match play(manifests, &interrupt, &mut report) {
        Err(error) if error.is::<Interrupted>() => {
            eprintln!("shunt: {error}; everything that the demo made is removed");
            Ok(ExitCode::from(EXIT_INTERRUPTED))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(ExitCode::from(u8::from(!report.faults().is_empty()))),
    }
}

fn play(manifests: &Path, interrupt: &Interrupt, report: &mut Report) -> anyhow::Result<()> {
    let start = Instant::now();
    let swept = lab::sweep().context("removing what a killed lab left")?;
    report.title(swept)?;
    let mut stage = Stage::set(manifests, interrupt, report)?;
    spread::play(&stage, report)?;
    node_port::play(&stage, report)?;
    affinity::play(&stage, report)?;
    change::play(&stage, report)?;
    drain::play(&stage, report)?;
    refused::play(&stage, report)?;
    cost::play(&stage, report)?;
    without_agent::play(&mut stage, report)?;
    let left = stage.strike()?;
    report.end(&left, start.elapsed())?;
    Ok(())
}

/// Waits until `done` is true; false where that takes longer than `limit`.
fn wait_until(
    limit: Duration,
    interrupt: &Interrupt,
    mut done: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let end = Instant::now() + limit;
    loop {
        interrupt.check()?;
        if done()? {
            return Ok(true);
        }
        if Instant::now() >= end {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(1));
    }
}
