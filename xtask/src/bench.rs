//! `cargo xtask bench`: the scenarios of the package `benches`, built in release and run as root.

use crate::{command, deps};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::{
    env,
    path::Path,
    process::{Command, ExitCode},
};

/// A file system in memory.
const MEMORY: &str = "/dev/shm";

/// Options of `bench`.
#[derive(Args)]
pub struct Options {
    /// small: up to 10 000 services, some minutes. full: up to 100 000, and half an hour beside kube-proxy.
    #[arg(long, value_enum, default_value = "small")]
    scale: Scale,
    /// Only these scenarios (change, fill, memory, connect, packet, throughput, scale, watchers, storm). scale and watchers need
    /// what `cargo xtask kube-tools` makes, and are left out without it unless they are named.
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
    let cargo = || {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(crate::checkout());
        cargo
    };
    if options.only.is_empty() || options.only.iter().any(|name| name == "scale" || name == "storm") {
        command::run(cargo().args([
            "build",
            "--quiet",
            "--release",
            "--package",
            "proxy-user",
            "--bin",
            "shunt",
        ]))?;
    }
    let mut cargo = cargo();
    // What an API server stores is to lie in memory: it is not the disk that is measured.
    if env::var_os("TMPDIR").is_none() && Path::new(MEMORY).is_dir() {
        cargo.env("TMPDIR", MEMORY);
    }
    cargo.args(["run", "--quiet", "--release", "--package", "benches", "--bin", "scenarios", "--"]);
    cargo.args(["--scale", scale, "--output"]).arg(crate::checkout().join("target/bench"));
    cargo.arg("--agent").arg(crate::checkout().join("target/release/shunt"));
    for name in &options.only {
        cargo.args(["--only", name]);
    }
    command::run(&mut cargo)?;
    Ok(ExitCode::SUCCESS)
}
