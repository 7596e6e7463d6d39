//! `shunt doctor`: whether this node balances, on one page.
//!
//! ```text
//! args ──▶ subject (whose node, how its agent was started) ──▶ checks, each a list of what it saw and found
//!                                                                 └──▶ report: verdict, exit code ──▶ page or JSON
//! ```
//!
//! It only looks, but for `--repair`. Exit codes: 0 balancing, 1 degraded or not all could be looked at, 2 not
//! balancing, 64 wrong usage, 70 the doctor itself failed.

mod args;
mod checks;
mod finding;
mod health;
mod page;
mod repair;
mod report;
mod self_test;
mod subject;
mod truth;

pub use args::{DOCTOR_EXAMPLES, DoctorArgs};

use super::{args::Output, exit};
use crate::{
    kernel::{Kernel, PinnedMaps},
    server::Timestamp,
    view::{decode, decode_node},
    writer::{MemoryMaps, WriteError},
};
use checks::{Contradictions, Differences};
use finding::{Check, State};
use report::{Heading, Report};
use std::{
    ffi::OsString,
    io::Write as _,
    process::ExitCode,
    thread,
    time::{Duration, SystemTime},
};
use subject::Subject;
use truth::Truth;

/// Between two looks at maps that seemed to disagree: a change takes microseconds, and an agent follows a file within
/// half a second.
const AGAIN: Duration = Duration::from_millis(800);

/// Prints the page. The exit code is the verdict's.
pub fn doctor(args: &DoctorArgs) -> ExitCode {
    match examine(args).and_then(|report| print(&report, args.output).map(|()| report)) {
        Ok(report) => ExitCode::from(report.verdict().code()),
        Err(error) => exit::failed_apart(&error),
    }
}

/// What a command line that cannot be parsed ends with: a code of its own where the doctor was asked.
pub fn usage_code(argv: &[OsString], code: u8) -> u8 {
    let mut words = argv.iter().skip(1).filter_map(|word| word.to_str());
    let is_asked = loop {
        match words.next() {
            Some("--log") => drop(words.next()),
            Some(word) if word.starts_with('-') => {}
            word => break word == Some("doctor"),
        }
    };
    if is_asked && code != 0 { exit::EX_USAGE } else { code }
}

fn print(report: &Report, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Json => report.json()? + "\n",
        Output::Table => page::render(report),
    };
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// Looks at everything; mends what disagrees, if that is asked for, and looks again.
fn examine(args: &DoctorArgs) -> anyhow::Result<Report> {
    let report = look(args, None)?;
    let disagrees =
        |check: &Check| matches!(check.name, "tables" | "services") && check.state() > State::Notice;
    if !args.repair || !report.checks.iter().any(disagrees) {
        return Ok(report);
    }
    let subject = Subject::new(args);
    let maps = Kernel::read_only(&subject.pin_path)?;
    let truth = Truth::read(args, &subject, &decode_node(&maps).0)?;
    look(args, Some(repair::repair(&subject, truth.as_ref(), &maps)))
}

/// Looks at everything, after what was done to mend it.
fn look(args: &DoctorArgs, repaired: Option<Check>) -> anyhow::Result<Report> {
    let subject = Subject::new(args);
    let opened = Kernel::read_only(&subject.pin_path);
    let mut checks = vec![checks::kernel(), checks::pins(&subject, &opened)];
    let maps = opened.ok();
    let (maps, ports) = (maps.as_ref(), maps.as_ref().and_then(|maps| decode(maps).ok()).unwrap_or_default());
    checks.push(checks::agent(&subject, maps, ports.len()));
    checks.push(checks::sockets(&subject, maps));
    let (devices, on) = checks::devices(&subject, maps);
    checks.push(devices);
    if let Some(maps) = maps {
        checks.push(checks::room(maps));
        checks.push(checks::tables(ports.len(), &contradictions(maps)?));
        checks.push(compare(args, &subject, maps)?);
    }
    checks.push(checks::others());
    checks.push(checks::sysctls(&on, &ports, maps));
    if maps.is_some() && !args.no_self_test {
        checks.push(self_test::self_test(&subject, &ports));
    }
    checks.extend(repaired);
    Ok(Report { heading: heading(maps), checks })
}

/// What disagrees in the maps, and still does a moment later.
fn contradictions(maps: &PinnedMaps) -> Result<Contradictions, WriteError> {
    let first = Contradictions::read(&MemoryMaps::copy_of(maps)?)?;
    if first.is_empty() {
        return Ok(first);
    }
    thread::sleep(AGAIN);
    Ok(first.lasting(&Contradictions::read(&MemoryMaps::copy_of(maps)?)?))
}

/// How the maps differ from what they should hold, and still do a moment later.
fn compare(args: &DoctorArgs, subject: &Subject, maps: &PinnedMaps) -> anyhow::Result<Check> {
    let node = decode_node(maps).0;
    let read = || truth::with_place(Truth::read(args, subject, &node));
    let truth = match read() {
        Ok(Some(truth)) => truth,
        Ok(None) => {
            let mut check = Check::new("services");
            check.see("not compared: give --kubeconfig, --api-server or --manifests to know what the maps should hold");
            return Ok(check);
        }
        // Those of the agent's own command line are nobody's usage here.
        Err(error) if exit::is_usage(&error) && !args.run.manifests.is_empty() => return Err(error),
        Err(error) => {
            let mut check = Check::new("services");
            check.see(format!("not compared: {error:#}"));
            check.unseen("services", "what the maps should hold", &format!("{error:#}"));
            return Ok(check);
        }
    };
    let first = Differences::between(&truth, &MemoryMaps::copy_of(maps)?)?;
    if first.lines.is_empty() {
        return Ok(checks::services(&truth, &first));
    }
    thread::sleep(AGAIN);
    let later = read()?.unwrap_or(truth);
    let again = Differences::between(&later, &MemoryMaps::copy_of(maps)?)?;
    Ok(checks::services(&later, &first.lasting(&again)))
}

fn heading(maps: Option<&PinnedMaps>) -> Heading {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let seconds = SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970());
    Heading {
        node: maps.map(|maps| decode_node(maps).0).unwrap_or_default(),
        kernel,
        time: Timestamp(Some(seconds)).to_string(),
    }
}

fn since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_usage_of_the_doctor_has_a_code_of_its_own() {
        let code = |line: &str| usage_code(&line.split(' ').map(OsString::from).collect::<Vec<_>>(), 2);
        assert_eq!([code("shunt doctor --no"), code("shunt --log debug doctor -x")], [64, 64]);
        assert_eq!([code("shunt status doctor"), code("shunt"), code("shunt --log doctor")], [2, 2, 2]);
        assert_eq!(usage_code(&["shunt".into(), "doctor".into(), "--help".into()], 0), 0);
    }
}
