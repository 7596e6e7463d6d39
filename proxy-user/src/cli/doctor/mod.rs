//! `shunt doctor`: whether this node balances, on one page.
//!
//! ```text
//! args ──▶ subject (whose node, how its agent was started) ──▶ checks, each a list of what it saw and found
//!                                                                 └──▶ report: verdict, exit code ──▶ page or JSON
//! ```
//!
//! It only looks, but for `--repair`. Exit codes: 0 balancing, 1 degraded or not all could be looked at, 2 not
//! balancing, 64 wrong usage, 70 the doctor itself failed.

mod agent_process;
mod args;
mod checks;
mod examine;
mod finding;
mod health;
mod page;
mod repair;
mod report;
mod self_test;
mod subject;
mod truth;

pub(in crate::cli) use agent_process::options_of;
pub use args::{DOCTOR_EXAMPLES, DoctorArgs};

use super::{args::Output, exit};
use report::Report;
use std::{ffi::OsString, io::Write as _, process::ExitCode};

/// Prints the page. The exit code is the verdict's.
pub fn doctor(args: &DoctorArgs) -> ExitCode {
    match examine::examine(args).and_then(|report| print(&report, args.output).map(|()| report)) {
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
