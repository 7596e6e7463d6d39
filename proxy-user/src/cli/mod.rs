//! The `shunt` command: thin over the library.
//!
//! Exit codes: 0 done, 1 something is wrong (said on standard error), 2 wrong usage or a machine
//! that lacks what Shunt needs.

mod args;
mod document;
mod dump;
mod follow;
mod plan;
mod problems;
mod run;
mod status;
mod table;

use clap::Parser;
use std::{io::IsTerminal as _, process::ExitCode};

/// Wrong usage, or a machine that lacks what Shunt needs.
const EXIT_ENVIRONMENT: u8 = 2;

/// Runs the command that the process was given.
#[must_use]
pub fn main() -> ExitCode {
    let args = args::Args::parse();
    init_logging(&args.log);
    let outcome = match args.command {
        args::Command::Run(args) => run::run(args),
        args::Command::Plan(args) => plan::plan(&args),
        args::Command::Dump(args) => dump::dump(&args),
        args::Command::Status(args) => status::status(&args),
        args::Command::Demo(args) => crate::demo::demo(&args.manifests),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("shunt: {}", in_one_line(&error));
        ExitCode::from(if is_environment(&error) { EXIT_ENVIRONMENT } else { 1 })
    })
}

/// The error and its causes. Most of ours name their cause already, which `{:#}` would repeat.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |text, cause| {
        if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// Log lines go to standard error, in colour on a terminal unless NO_COLOR is set (no-color.org);
/// `RUST_LOG` refines what `--log` sets.
fn init_logging(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !plain)
        .with_target(false)
        .init();
}

fn is_environment(error: &anyhow::Error) -> bool {
    use crate::{
        dataplane::DataplaneError, demo::NoLab, kernel::KernelError, source::manifests::ManifestError,
    };
    error.chain().any(|cause| {
        cause.downcast_ref::<KernelError>().is_some_and(KernelError::is_environment)
            || cause.downcast_ref::<DataplaneError>().is_some_and(DataplaneError::is_environment)
            || cause.is::<ManifestError>()
            || cause.is::<NoLab>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_cause_once() {
        let cause = std::io::Error::from_raw_os_error(libc::ENOENT);
        let text = cause.to_string();
        let path = "/nope".into();
        let error = crate::source::manifests::ManifestError::Path { path, call: "stat", source: cause };
        assert_eq!(in_one_line(&error.into()), format!("/nope: stat: {text}"));
        assert_eq!(in_one_line(&anyhow::anyhow!("inner").context("outer")), "outer: inner");
    }

    #[test]
    fn a_node_without_a_name_is_wrong_usage() {
        let args = |node| args::Args::try_parse_from(["shunt", "plan", "--manifests", "x", "--node", node]);
        assert!(args("n").is_ok() && args("").is_err());
    }
}
