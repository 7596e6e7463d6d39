//! `cargo xtask bench`: the scenarios of the package `benches`, built in release and run as root.

use crate::{command, deps};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::{
    env,
    process::{Command, ExitCode},
};

/// Options of `bench`.
#[derive(Args)]
pub struct Options {
    /// small: up to 10 000 services, some seconds. full: up to 100 000, about a minute.
    #[arg(long, value_enum, default_value = "small")]
    scale: Scale,
    /// Only these scenarios (change, fill, memory, connect, packet, throughput).
    #[arg(long)]
    only: Vec<String>,
}

/// Size of a run.
#[derive(Clone, Copy, ValueEnum)]
enum Scale {
    Small,
    Full,
}

/// Runs `bench`.
///
/// # Errors
/// Not root, or where a scenario cannot be built or fails. A missed target is no error.
pub fn run(options: &Options) -> Result<ExitCode> {
    if !deps::is_root() {
        bail!("the scenarios load programs and make network namespaces: run as root");
    }
    let scale = match options.scale {
        Scale::Small => "small",
        Scale::Full => "full",
    };
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(crate::checkout());
    cargo.args(["run", "--quiet", "--release", "--package", "benches", "--bin", "scenarios", "--"]);
    cargo.args(["--scale", scale, "--output"]).arg(crate::checkout().join("target/bench"));
    for name in &options.only {
        cargo.args(["--only", name]);
    }
    command::run(&mut cargo)?;
    Ok(ExitCode::SUCCESS)
}
