//! The `shunt` command: thin over the library.
//!
//! Exit codes: 0 done, 1 something is wrong (said on standard error), 2 wrong usage or a machine
//! that lacks what Shunt needs. Those of `shunt doctor` are answers: see there.

mod agent;
mod args;
mod asked;
mod cleanup;
mod config;
mod doctor;
mod document;
mod dump;
mod duration;
mod ending;
mod exit;
mod explain;
mod live;
mod offline;
mod packet_args;
mod plan;
mod problems;
mod quantity;
mod run;
mod run_args;
mod span;
mod status;
mod status_devices;
mod table;
mod top;
mod trace;
mod watch_args;
mod work;

use std::{io::IsTerminal as _, process::ExitCode};
use tracing_subscriber::EnvFilter;

/// Runs the command that the process was given.
#[must_use]
pub fn main() -> ExitCode {
    let argv: Vec<_> = std::env::args_os().collect();
    let args = match config::parse(&argv) {
        Ok(args) => args,
        Err(failure) => return ExitCode::from(doctor::usage_code(&argv, failure.report())),
    };
    init_logging(&args.log);
    // Before any thread begins: each has capabilities of its own.
    if let Err(error) = crate::kernel::raise_capabilities() {
        tracing::warn!("capset: {error}; capabilities that are permitted are not in effect");
    }
    let outcome = match args.command {
        args::Command::Run(args) => {
            config::log_ignored(&args.configuration.ignored);
            run::run(*args)
        }
        args::Command::Config(args) => config::config(&args),
        args::Command::Plan(args) => plan::plan(&args),
        args::Command::Explain(args) => explain::explain(&args),
        args::Command::Dump(args) => dump::dump(&args),
        args::Command::Status(args) => status::status(&args),
        args::Command::Doctor(args) => return doctor::doctor(&args),
        args::Command::Trace(args) => trace::trace(&args),
        args::Command::Top(args) => top::top(&args),
        args::Command::Cleanup(args) => cleanup::cleanup(&args),
        args::Command::MountBpffs(pins) => {
            crate::kernel::mount_bpffs(&pins.pin_path).map(|_| ExitCode::SUCCESS).map_err(anyhow::Error::from)
        }
        args::Command::Demo(args) => crate::demo::demo(&args.manifests),
    };
    outcome.unwrap_or_else(|error| exit::failed(&error))
}

/// Log lines go to standard error, in colour on a terminal unless NO_COLOR is set (no-color.org);
/// `RUST_LOG` refines what `--log` sets.
fn init_logging(level: &str) {
    let filter = filter(level, std::env::var("RUST_LOG").ok());
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !plain)
        .with_target(false)
        // Or a line that cannot be written, since the disk is full, would be told by eprintln, which panics then.
        .log_internal_errors(false)
        .init();
}

/// What `--log` says, and on top of it what `RUST_LOG` does, if that is a filter: an empty one would silence errors.
fn filter(level: &str, refinement: Option<String>) -> EnvFilter {
    let refinement = refinement.filter(|more| !more.trim().is_empty() && EnvFilter::try_new(more).is_ok());
    EnvFilter::new(refinement.map_or_else(|| level.to_owned(), |more| format!("{level},{more}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn the_environment_refines_the_option() {
        let of = |refinement: &str| filter("info", Some(refinement.to_owned())).to_string();
        assert_eq!((filter("warn", None).to_string(), of("")), ("warn".to_owned(), "info".to_owned()));
        assert_eq!((of("error").as_str(), of("=loud=").as_str()), ("error", "info"));
        let both = of("kube=debug");
        assert!(both.contains("info") && both.contains("kube=debug"), "{both}");
    }

    #[test]
    fn a_node_without_a_name_is_wrong_usage() {
        let args = |node| args::Args::try_parse_from(["shunt", "plan", "--manifests", "x", "--node", node]);
        assert!(args("n").is_ok() && args("").is_err());
    }
}
