//! `cargo xtask demo`: builds the agent and lets it show itself.

use crate::deps;
use anyhow::{Result, anyhow};
use std::{
    env,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

/// Wrong usage, or a machine that lacks what Shunt needs; as of `shunt` itself.
const EXIT_ENVIRONMENT: u8 = 2;

/// Runs `demo`. Everything else that the demo needs it makes itself.
///
/// # Errors
/// If cargo cannot be run; what it and the demo say is their exit code.
pub fn run() -> Result<ExitCode> {
    if !deps::is_root() {
        eprintln!("error: the demo needs root, for network namespaces, a cgroup and eBPF: run it with sudo");
        return Ok(ExitCode::from(EXIT_ENVIRONMENT));
    }
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::checkout());
    cargo.args(["run", "--release", "--package", "proxy-user", "--bin", "shunt"]);
    cargo.args(["--", "demo", "--manifests", "examples"]);
    // In the place of this process, as cargo puts the demo in its own: Ctrl-C then meets one process,
    // and the shell waits until it has removed everything.
    let error = cargo.exec();
    Err(anyhow!("cannot run {cargo:?}: {error}"))
}
