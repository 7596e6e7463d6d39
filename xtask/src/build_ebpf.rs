//! `cargo xtask build-ebpf`: builds the committed eBPF object, or checks that it is what the source
//! builds to.
//!
//! Exit code 0: done, or as committed. 1: not as committed, or the build failed. 3: no toolchain.

use crate::{
    checkout, command,
    record::{self, Record},
    toolchain::{self, Toolchain},
};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Exit code where nothing here builds for BPF.
pub const NO_TOOLCHAIN: u8 = 3;

/// What stands in the mangled name of every function of proxy-common.
const MANGLED: &[u8] = b"12proxy_common";

/// Options of `build-ebpf`.
#[derive(Args)]
pub struct Options {
    /// Rebuild and compare with what is committed; write nothing.
    #[arg(long, conflicts_with = "log")]
    check: bool,
    /// First install what is missing, on Debian and as root.
    #[arg(long)]
    install: bool,
    /// Write an object that logs every decision here, and leave the committed one alone.
    #[arg(long, value_name = "PATH")]
    log: Option<PathBuf>,
}

/// Runs `build-ebpf`.
///
/// # Errors
/// A source is not what the committed object was built from, or something could not be run.
pub fn run(options: &Options) -> Result<ExitCode> {
    let checkout = checkout();
    let directory = checkout.join("proxy-user/ebpf");
    let (object, note) = (directory.join("shunt.bpf.o"), directory.join("shunt.bpf.toml"));
    if options.install {
        toolchain::install()?;
    }
    if options.check {
        // Needs no toolchain, so it comes first.
        check_hashes(&checkout, &object, &note)?;
    }
    let toolchain = match Toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(missing) => {
            eprintln!("no toolchain for BPF; `cargo xtask build-ebpf --install` installs one on Debian");
            for line in missing {
                eprintln!("  {line}");
            }
            return Ok(ExitCode::from(NO_TOOLCHAIN));
        }
    };
    let built = build(&toolchain, &checkout, &checkout.join("target/ebpf"), options.log.is_some())?;
    let record = Record {
        source_sha256: record::source_hash(&checkout)?,
        object_sha256: record::hash(&built),
        compiler: toolchain.compiler.clone(),
        linker: toolchain.linker.clone(),
        strip: toolchain.strip.clone(),
    };
    if let Some(path) = &options.log {
        fs::write(path, built).with_context(|| format!("write({})", path.display()))?;
        println!("{} logs what the programs decide", path.display());
    } else if options.check {
        compare(&record, &Record::read(&note)?)?;
    } else {
        fs::create_dir_all(&directory).with_context(|| format!("mkdir({})", directory.display()))?;
        fs::write(&object, &built).with_context(|| format!("write({})", object.display()))?;
        record.write(&note)?;
        println!("{}: {} bytes, sha256 {}", object.display(), built.len(), record.object_sha256);
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails unless source and object are the ones that the note speaks of.
fn check_hashes(checkout: &Path, object: &Path, note: &Path) -> Result<()> {
    let committed = Record::read(note)?;
    if record::source_hash(checkout)? != committed.source_sha256 {
        bail!(
            "proxy-ebpf or proxy-common has changed since {} was built: run `cargo xtask build-ebpf`",
            object.display()
        );
    }
    let bytes = fs::read(object).with_context(|| format!("read({})", object.display()))?;
    if record::hash(&bytes) != committed.object_sha256 {
        bail!("{} is not the object that {} speaks of", object.display(), note.display());
    }
    Ok(())
}

/// Fails if the same programs built other bytes than the committed ones.
fn compare(built: &Record, committed: &Record) -> Result<()> {
    if !built.same_tools(committed) {
        println!(
            "source as committed; bytes not compared, for another toolchain built the committed object:"
        );
        println!("  committed: {}; {}; {}", committed.compiler, committed.linker, committed.strip);
        println!("  here:      {}; {}; {}", built.compiler, built.linker, built.strip);
        return Ok(());
    }
    if built.object_sha256 != committed.object_sha256 {
        bail!(
            "the source builds to sha256 {}, but {} is committed: run `cargo xtask build-ebpf`",
            built.object_sha256,
            committed.object_sha256
        );
    }
    println!("source and object as committed: sha256 {}", committed.object_sha256);
    Ok(())
}

/// Builds the object; the same source and toolchain give the same bytes in every directory.
///
/// # Errors
/// Of the step that failed.
pub fn build(toolchain: &Toolchain, checkout: &Path, target: &Path, log: bool) -> Result<Vec<u8>> {
    let cargo_home = toolchain::cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    let flags = [
        // aya-ebpf's register layouts; no program of ours looks at registers, and one value for all
        // hosts keeps the bytes the same.
        "--cfg=bpf_target_arch=\"x86_64\"".to_owned(),
        // BTF is made from debug information.
        "-Cdebuginfo=2".to_owned(),
        "-Clinker=bpf-linker".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("--remap-path-prefix={}=.", checkout.display()),
        format!("--remap-path-prefix={}=/cargo", cargo_home.display()),
        format!("--remap-path-prefix={}=/rust", toolchain.sysroot.join("lib/rustlib/src/rust").display()),
    ];
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(checkout.join("proxy-ebpf"))
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .args(["build", "--quiet", "--locked", "--release"])
        .args(["-Zbuild-std=core", "--target=bpfel-unknown-none"]);
    if log {
        cargo.args(["--features", "log"]);
    }
    command::run(&mut cargo)?;
    let linked = target.join("bpfel-unknown-none/release/shunt");
    let stripped = target.join("shunt.bpf.o");
    // -g takes DWARF away and leaves .BTF and .BTF.ext.
    command::run(toolchain.strip().arg("-g").arg("-o").arg(&stripped).arg(&linked))?;
    let built = fs::read(&stripped).with_context(|| format!("read({})", stripped.display()))?;
    // The linker takes what is not exported for local functions, and keeps their names.
    if built.windows(MANGLED.len()).any(|name| name == MANGLED) {
        bail!(
            "a function of proxy-common was not inlined: its mangled name holds a hash of the checkout's path, \
             so another checkout builds other bytes; mark it (and closures in it) #[inline(always)]"
        );
    }
    Ok(built)
}
