//! Running other programs, with errors that name them.

use anyhow::{Context as _, Result, bail};
use std::process::{Command, Stdio};

/// Runs a command with our own output, and fails if it does.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}

/// Runs a command and returns what it wrote to standard output, without the last line's end.
pub fn output(command: &mut Command) -> Result<String> {
    let text = String::from_utf8(bytes(command)?).with_context(|| format!("output of {command:?}"))?;
    Ok(text.trim_end().to_owned())
}

/// Runs a command and returns what it wrote to standard output.
pub fn bytes(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output.stdout)
}
