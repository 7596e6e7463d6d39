//! `cargo xtask other-layout`: builds Shunt as a later version might be, whose maps have another layout, so that tests
//! can go from this one to that one and back. Into target/other-layout: `shunt`, and the object that it has built in.
//!
//! The sources are the checkout's own, changed by rules and not by a patch: what no rule knows to handle (a constant
//! that is gone, a field that is new to a rule) fails here or in the compiler, and never goes by unnoticed.

mod edit;
mod sources;

use crate::{build_ebpf, checkout, command, record, toolchain::Toolchain};
use anyhow::{Context as _, Result};
use clap::Args;
use edit::{Order, restructure};
use sources::Sources;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Where the programs are, below the checkout.
const DIRECTORY: &str = "target/other-layout";
/// What the program is called in the common target directory, where `shunt` is this version's.
const BINARY: &str = "shunt-other-layout";
/// A field that the other layout has: what this one knows nothing of, and is zero.
const ADDED: (&str, &str) = ("later", "u64");

/// Options of `other-layout`.
#[derive(Args)]
pub struct Options {}

/// Runs `other-layout`. Exit code 3: no toolchain for BPF.
///
/// # Errors
/// A rule does not fit the sources any more, or something could not be built.
pub fn run(Options {}: &Options) -> Result<ExitCode> {
    match Toolchain::find() {
        Ok(toolchain) => {
            build(&toolchain)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(missing) => {
            eprintln!("no toolchain for BPF; `cargo xtask build-ebpf --install` installs one on Debian");
            for line in missing {
                eprintln!("  {line}");
            }
            Ok(ExitCode::from(build_ebpf::NO_TOOLCHAIN))
        }
    }
}

/// Builds what is not built yet, and says where the program is.
///
/// # Errors
/// As for [`run`].
pub fn build(toolchain: &Toolchain) -> Result<PathBuf> {
    let (checkout, directory) = (checkout(), checkout().join(DIRECTORY));
    let tree = directory.join("tree");
    let mut sources = Sources::read(&checkout)?;
    change(&mut sources)?;
    // The object is no source: it is made below, of these.
    sources.keep("proxy-user/ebpf/shunt.bpf.o");
    sources.write(&tree)?;

    let object = tree.join("proxy-user/ebpf/shunt.bpf.o");
    let (note, hash) = (directory.join("built-from"), record::source_hash(&tree)?);
    let stamp = format!("{hash}\n{}\n{}\n", toolchain.compiler, toolchain.linker);
    if fs::read_to_string(&note).ok().as_ref() != Some(&stamp) || !object.exists() {
        let built = build_ebpf::build(toolchain, &tree, &directory.join("ebpf"), false)?;
        fs::write(&object, built).with_context(|| format!("write({})", object.display()))?;
        fs::write(&note, stamp).with_context(|| format!("write({})", note.display()))?;
    }
    copy(&object, &directory.join("shunt.bpf.o"))?;

    // Dependencies are the same: they are built once for both.
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout.join("target"), Into::into);
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(&tree).env("CARGO_TARGET_DIR", &target);
    command::run(cargo.args(["build", "--quiet", "--locked", "-p", "proxy-user", "--bin", BINARY]))?;
    let program = directory.join("shunt");
    copy(&target.join("debug").join(BINARY), &program)?;
    println!("{}: this source with another layout of maps", program.display());
    Ok(program)
}

/// What is different in the other layout.
fn change(sources: &mut Sources) -> Result<()> {
    let abi = |file: &str| format!("proxy-common/src/abi/{file}.rs");
    edit::add(sources, &abi("mod"), "pub const ABI_VERSION: u32 = ", 1)?;
    // The agent writes a policy from its first field to the end of the entry, and sets a word at a time.
    let policy_last = Order::Given(&[
        "local",
        "cluster",
        "affinity_seconds",
        "reserved",
        "health_check_node_port",
        "name",
        "flags",
    ]);
    restructure(sources, &abi("service"), "ServiceEntry", &policy_last, Some(ADDED))?;
    restructure(sources, &abi("backend"), "BackendEntry", &Order::Reversed, Some(ADDED))?;
    restructure(sources, &abi("flow"), "FlowEntry", &Order::Reversed, Some(ADDED))?;
    restructure(sources, &abi("flow"), "Tuple", &Order::Reversed, None)?;
    restructure(sources, &abi("affinity"), "AffinityEntry", &Order::Reversed, Some(ADDED))?;
    restructure(sources, &abi("affinity"), "AffinityKey", &Order::Reversed, None)?;
    restructure(sources, &abi("socket"), "SocketKey", &Order::Reversed, None)?;
    restructure(sources, &abi("socket"), "ReverseEntry", &Order::Reversed, Some(ADDED))?;
    // Another hash of a frontend's key: xxHash's factor gives way to another odd one.
    edit::replace(sources, &abi("frontend"), "0x9e37_79b1", "0xc2b2_ae3d")?;
    let bin = |name: &str| format!("[[bin]]\nname = \"{name}\"");
    edit::replace(sources, "proxy-user/Cargo.toml", &bin("shunt"), &bin(BINARY))?;
    // Cargo tells packages of two checkouts in one target directory apart by their versions alone: a workspace's own
    // directory does not count.
    edit::rename_version(sources, "-other-layout")
}

/// Leaves a file alone that is the same already, so that nobody takes it for a new one; never writes into one that runs.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("read({})", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let new = to.with_extension("new");
    fs::copy(from, &new).with_context(|| format!("copy({} to {})", from.display(), new.display()))?;
    fs::rename(&new, to).with_context(|| format!("rename({})", to.display()))
}
