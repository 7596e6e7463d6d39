//! Finds a toolchain that builds for BPF: Debian's Rust, or a rustup nightly.

use crate::{command, deps};
use anyhow::{Context as _, Result};
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest rustc that aya-ebpf 0.2.1 builds with, as (1, minor).
const OLDEST_RUSTC: u32 = 87;

/// Programs that together build an object.
pub struct Toolchain {
    /// rustc's own version line.
    pub compiler: String,
    /// bpf-linker's own version line.
    pub linker: String,
    /// llvm-strip's LLVM version.
    pub strip: String,
    /// Where the compiler and its library live.
    pub sysroot: PathBuf,
    linker_directory: PathBuf,
    strip_program: PathBuf,
    rust: Rust,
}

/// Whose cargo and rustc.
#[derive(Clone, Copy)]
enum Rust {
    /// Debian's packages; a stable compiler told to act as a nightly one.
    Debian,
    /// `rustup run nightly`.
    Nightly,
}

impl Toolchain {
    /// The first complete toolchain, or what each is missing, one line per thing.
    pub fn find() -> Result<Self, Vec<String>> {
        let mut missing = Vec::new();
        let rust = [Rust::Debian, Rust::Nightly].into_iter().find_map(|rust| match rust.probe() {
            Ok(found) => Some((rust, found)),
            Err(error) => {
                missing.push(format!("{}: {error:#}", rust.name()));
                None
            }
        });
        if rust.is_some() {
            missing.clear();
        }
        let linker = linker().map_err(|error| missing.push(format!("bpf-linker: {error:#}"))).ok();
        let strip = strip().map_err(|error| missing.push(format!("llvm-strip: {error:#}"))).ok();
        match (rust, linker, strip) {
            (
                Some((rust, (compiler, sysroot))),
                Some((linker, linker_directory)),
                Some((strip, strip_program)),
            ) => Ok(Self { compiler, linker, strip, sysroot, linker_directory, strip_program, rust }),
            _ => Err(missing),
        }
    }

    /// cargo of this toolchain, with bpf-linker in reach and without what the calling cargo or the
    /// user's environment would put in.
    pub fn cargo(&self) -> Command {
        let mut cargo = self.rust.command("cargo");
        for name in [
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_INCREMENTAL",
        ] {
            cargo.env_remove(name);
        }
        if matches!(self.rust, Rust::Debian) {
            cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let paths = [self.linker_directory.clone()].into_iter().chain(env::split_paths(&path));
        if let Ok(path) = env::join_paths(paths) {
            cargo.env("PATH", path);
        }
        cargo
    }

    /// llvm-strip.
    pub fn strip(&self) -> Command {
        Command::new(&self.strip_program)
    }
}

impl Rust {
    const fn name(self) -> &'static str {
        match self {
            Self::Debian => "Debian's Rust (packages rustc-web, cargo-web, rust-web-src)",
            Self::Nightly => "rustup's nightly with rust-src",
        }
    }

    fn command(self, program: &str) -> Command {
        match self {
            Self::Debian => {
                let mut command = Command::new(Path::new("/usr/bin").join(program));
                command.env_remove("RUSTUP_TOOLCHAIN");
                command
            }
            Self::Nightly => {
                let mut command = Command::new("rustup");
                command.args(["run", "nightly", program]);
                command
            }
        }
    }

    /// Version line and sysroot of a compiler that is new enough and has its library's source.
    fn probe(self) -> Result<(String, PathBuf)> {
        let version = command::output(self.command("rustc").arg("--version"))?;
        if minor_version(&version).is_none_or(|minor| minor < OLDEST_RUSTC) {
            anyhow::bail!("{version} is older than 1.{OLDEST_RUSTC}");
        }
        command::output(self.command("cargo").arg("--version"))?;
        let sysroot = PathBuf::from(command::output(self.command("rustc").args(["--print", "sysroot"]))?);
        let core = sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml");
        if !core.exists() {
            anyhow::bail!("no library source: {} is missing", core.display());
        }
        Ok((version, sysroot))
    }
}

/// 96 of "rustc 1.96.0 (…)".
fn minor_version(version: &str) -> Option<u32> {
    version.split_whitespace().nth(1)?.split('.').nth(1)?.parse().ok()
}

/// bpf-linker's version line and directory.
fn linker() -> Result<(String, PathBuf)> {
    let directory = find(cargo_bin().into_iter(), "bpf-linker")
        .context("not on PATH nor in cargo's bin directory (cargo install bpf-linker)")?;
    Ok((command::output(Command::new(directory.join("bpf-linker")).arg("--version"))?, directory))
}

/// LLVM version and path of llvm-strip. Debian's llvm-22 comes first: bytes differ between versions.
fn strip() -> Result<(String, PathBuf)> {
    let directory = find([PathBuf::from("/usr/lib/llvm-22/bin")].into_iter(), "llvm-strip")
        .context("not in /usr/lib/llvm-22/bin nor on PATH (Debian package llvm-22)")?;
    let program = directory.join("llvm-strip");
    let text = command::output(Command::new(&program).arg("--version"))?;
    let version = text.lines().find(|line| line.contains("LLVM version")).unwrap_or(&text);
    Ok((version.trim().to_owned(), program))
}

fn cargo_bin() -> Option<PathBuf> {
    Some(cargo_home()?.join("bin"))
}

/// Where cargo keeps the registry.
pub fn cargo_home() -> Option<PathBuf> {
    env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
}

/// The first directory, of `first` and then of PATH, that has the program.
fn find(first: impl Iterator<Item = PathBuf>, program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    first.chain(env::split_paths(&path)).find(|directory| directory.join(program).is_file())
}

/// Installs what Debian's recipe lacks.
///
/// # Errors
/// Not root, not Debian, or a failed installation.
pub fn install() -> Result<()> {
    deps::install(&deps::missing(deps::BPF_PACKAGES))?;
    if linker().is_err() { deps::install_bpf_linker() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::minor_version;

    #[test]
    fn version_lines_are_read() {
        assert_eq!(
            minor_version("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some(96)
        );
        assert_eq!(minor_version("rustc 1.97.0-nightly (e50aa6fba 2026-05-19)"), Some(97));
        assert_eq!(minor_version("command not found"), None);
    }
}
