//! Runs `cases/*.yaml`: each file is a rule in words, some manifests and the answers that they must give, and
//! is run twice, in memory and, where the machine allows, in the kernel with real sockets. The form of a file
//! is in `case.rs`.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod agent;
mod behaviour;
mod case;
mod client;
mod dials;
mod expectation;
mod health;
mod kernel;
mod manifests;
mod memory;
mod plan;
mod script;
mod text;

use case::Case;
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::{Path, PathBuf};

/// Where the cases are.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

/// Every case's name and file, by name.
fn files() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    files.sort();
    files
}

fn main() {
    let lab = kernel::available();
    let mut trials = behaviour::trials();
    for (name, path) in files() {
        let in_kernel = path.clone();
        let trial = move || run(&path, memory::run);
        trials.push(Trial::test(format!("memory::{name}"), trial));
        let trial = move || run(&in_kernel, kernel::run);
        trials.push(Trial::test(format!("kernel::{name}"), trial).with_ignored_flag(!lab));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn run(path: &Path, run: fn(&Case) -> Result<(), String>) -> Result<(), Failed> {
    let case = Case::read(path)?;
    run(&case).map_err(|failure| format!("{failure}\n\nthe rule: {}", case.rule.trim()).into())
}
