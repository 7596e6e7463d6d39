//! The programs in the virtual machines: linked statically, because nothing else is in there.

use crate::{checkout, command};
use anyhow::{Context as _, Result};
use std::{env, fs, path::Path, process::Command};

/// One of them.
#[derive(Clone, Copy)]
pub struct Program {
    package: &'static str,
    binary: &'static str,
    features: &'static str,
    /// Where it lies in the machine, without the first slash.
    path: &'static str,
}

/// The first process.
pub const KERNEL_INIT: Program =
    Program { package: "xtask", binary: "kernel-init", features: "kernel-init", path: "init" };

/// Associations between namespaces.
pub const SCTP_LAB: Program =
    Program { package: "xtask", binary: "sctp-lab", features: "sctp-lab", path: "sctp-lab" };

/// The command.
pub const SHUNT: Program =
    Program { package: "proxy-user", binary: "shunt", features: "agent", path: "shunt" };

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds programs below a directory; returns where each is to lie and what is in it.
///
/// # Errors
/// The build failed.
pub fn build(directory: &Path, programs: &[Program]) -> Result<Vec<(&'static str, Vec<u8>)>> {
    programs
        .iter()
        .map(|program| {
            let Program { package, binary, features, path } = program;
            command::run(
                Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                    .current_dir(checkout())
                    .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
                    .env("CARGO_TARGET_DIR", directory)
                    .args(["build", "--quiet", "--release", "--target", TARGET])
                    .args(["--package", package, "--features", features, "--bin", binary]),
            )?;
            let built = directory.join(TARGET).join("release").join(binary);
            let content = fs::read(&built).with_context(|| format!("read({})", built.display()))?;
            Ok((*path, content))
        })
        .collect()
}
