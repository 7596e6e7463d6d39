//! The tests that a virtual machine was booted for, one program after the other: `/steps` has a line for each, with its
//! name, its path and its arguments.

use anyhow::{Context as _, Result, bail};
use std::{
    fs::{self, File},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where the initial file system has the list.
const STEPS: &str = "/steps";
const OUTPUT: &str = "/tmp/output";

/// Longest run of one of them: less than the machine itself is given.
const LIMIT: Duration = Duration::from_secs(2400);
/// How often it is said where one is.
const PROGRESS: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// Whether there are any.
pub fn are_there() -> bool {
    fs::exists(STEPS).unwrap_or(false)
}

/// Runs all, one line each; what one has printed follows if it failed.
///
/// # Errors
/// One failed, or could not be run.
pub fn run() -> Result<()> {
    let mut failed = Vec::new();
    for line in fs::read_to_string(STEPS).with_context(|| format!("read({STEPS})"))?.lines() {
        let mut words = line.split('\t');
        let (Some(name), Some(program)) = (words.next(), words.next()) else { continue };
        let start = Instant::now();
        let status = wait(name, program, words)?;
        let output = fs::read_to_string(OUTPUT).with_context(|| format!("read({OUTPUT})"))?;
        let result = output.lines().rev().find_map(|line| line.strip_prefix("test result: "));
        let seconds = start.elapsed().as_secs();
        println!("step {name}: {} in {seconds} s", result.unwrap_or("no result"));
        if status.is_none_or(|status| !status.success()) {
            println!("{output}");
            failed.push(name.to_owned());
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// `None`: it took too long, and was ended.
fn wait<'a>(
    name: &str,
    program: &str,
    arguments: impl Iterator<Item = &'a str>,
) -> Result<Option<ExitStatus>> {
    let output = File::create(OUTPUT).with_context(|| format!("create({OUTPUT})"))?;
    let errors = output.try_clone().context("dup")?;
    let mut child = Command::new(program)
        .args(arguments)
        // A laboratory that cannot be made is a failure here.
        .env("SHUNT_REQUIRE_LAB", "1")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let (end, mut next) = (Instant::now() + LIMIT, Instant::now() + PROGRESS);
    while Instant::now() < end {
        if Instant::now() >= next {
            let done = fs::read_to_string(OUTPUT).unwrap_or_default();
            println!("underway {name}: {}", done.lines().next_back().unwrap_or_default());
            next += PROGRESS;
        }
        if let Some(status) = child.try_wait().with_context(|| format!("waitpid({program})"))? {
            return Ok(Some(status));
        }
        thread::sleep(PAUSE);
    }
    child.kill().and_then(|()| child.wait()).with_context(|| format!("kill({program})"))?;
    Ok(None)
}
