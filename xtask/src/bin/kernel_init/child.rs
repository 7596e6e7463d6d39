//! The program that a virtual machine was booted for.

use anyhow::{Context as _, Result, bail};
use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Longest run: less than the machine itself is given.
const LIMIT: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(50);

/// Runs a program on the console, and fails if it does.
///
/// # Errors
/// It cannot be started, does not end in time, or ends with another code than 0.
pub fn run(program: &str, arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut child =
        Command::new(program).args(arguments).spawn().with_context(|| format!("cannot run {program}"))?;
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().with_context(|| format!("waitpid({program})"))? {
            if !status.success() {
                bail!("{program}: {status}");
            }
            return Ok(());
        }
        if Instant::now() >= end {
            // The machine ends with us, and the program with the machine.
            bail!("{program} still runs after {} seconds", LIMIT.as_secs());
        }
        thread::sleep(PAUSE);
    }
}
