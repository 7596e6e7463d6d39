//! `cargo xtask test`: every test of the workspace, with one line of totals at the end.

use crate::{deps, kube_tools, other_layout, toolchain::Toolchain};
use anyhow::{Context as _, Result};
use clap::Args;
use std::{
    env,
    io::{BufRead as _, BufReader},
    ops::AddAssign,
    process::{Command, ExitCode, Stdio},
};

/// Set where network namespaces cannot be made: the tests that need them return at once.
const SKIP_LAB: &str = "SHUNT_SKIP_LAB";

/// Names the program with another layout of maps to the tests that go from one layout to the other; without it they
/// take what `cargo xtask other-layout` has left, or are left out.
const OTHER_LAYOUT: &str = "SHUNT_OTHER_LAYOUT";

/// Options of `test`.
#[derive(Args)]
pub struct Options {
    /// Passed on to `cargo test`, for example `-p proxy-common` or a test's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// What the test runners counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Totals {
    passed: u64,
    failed: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs `test`.
///
/// # Errors
/// Where something could not be installed or run; failed tests are an exit code.
pub fn run(options: &Options) -> Result<ExitCode> {
    let root = deps::is_root();
    if root {
        deps::install(&deps::missing(deps::TEST_PACKAGES))?;
        if !kube_tools::are_there() {
            println!(
                "no Kubernetes here: the tests against a real API server are left out; `cargo xtask kube-tools` \
                 builds it"
            );
        }
    } else {
        println!(
            "not root: the tests in network namespaces and those that load programs are left out ({SKIP_LAB}=1)"
        );
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::checkout()).arg("test").arg("--no-fail-fast");
    if options.arguments.is_empty() {
        cargo.arg("--workspace");
    } else {
        cargo.args(&options.arguments);
    }
    if !root {
        cargo.env(SKIP_LAB, "1");
    } else if options.arguments.is_empty() || options.arguments.iter().any(|word| word.contains("layout")) {
        match Toolchain::find() {
            Ok(toolchain) => {
                cargo.env(OTHER_LAYOUT, other_layout::build(&toolchain)?);
            }
            Err(missing) => println!(
                "no toolchain for BPF: the tests that go to another layout of maps and back are left out; `cargo xtask \
                 build-ebpf --install` installs one on Debian ({})",
                missing.join("; ")
            ),
        }
    }
    let mut child = cargo.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {cargo:?}"))?;
    let mut totals = Totals::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.context("read(output of cargo test)")?;
            println!("{line}");
            totals += count(&line).unwrap_or_default();
        }
    }
    let status = child.wait().context("wait(cargo test)")?;
    println!("\n{} passed, {} failed", totals.passed, totals.failed);
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The counts of a runner's last line: `test result: ok. 5 passed; 0 failed; 0 ignored; …`.
fn count(line: &str) -> Option<Totals> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let number =
        |what: &str| counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse::<u64>().ok());
    Some(Totals { passed: number("passed")?, failed: number("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runners_last_line_is_counted_and_no_other() {
        let ok =
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(count(ok), Some(Totals { passed: 12, failed: 0 }));
        let failed = "test result: FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(count(failed), Some(Totals { passed: 7, failed: 2 }));
        assert_eq!(count("test cluster::removed_service_is_gone ... ok"), None);
        assert_eq!(count("running 12 tests"), None);
    }
}
