//! `cargo xtask image`: the container image of the agent, written without a container engine. In it lies one static
//! binary and nothing else.

mod capability;
mod layout;
mod tar;

use crate::{checkout, command, deps};
use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use layout::{About, PROGRAM, Written};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// The largest that an image may be.
const LIMIT: u64 = 15 * 1024 * 1024;

/// The C compiler that ring asks for, and what reads the image after us.
const PACKAGES: &[&str] = &["musl-tools"];
const CHECK_PACKAGES: &[&str] = &["musl-tools", "skopeo", "umoci", "libcap2-bin"];

/// Options of `image`.
#[derive(Args)]
pub struct Options {
    /// Where the image layout is written.
    #[arg(long, value_name = "DIRECTORY", default_value = "target/image/oci")]
    output: PathBuf,
    /// Takes this binary and builds none.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Also has the image read by skopeo and umoci, and starts its binary in a root directory where nothing else
    /// lies; as root.
    #[arg(long)]
    check: bool,
}

/// Runs `image`.
///
/// # Errors
/// Something lacks, the build failed, the image is too large, or others cannot read it.
pub fn run(options: &Options) -> Result<ExitCode> {
    deps::install(&deps::missing(if options.check { CHECK_PACKAGES } else { PACKAGES }))?;
    let binary = match &options.binary {
        Some(path) => fs::read(path).with_context(|| format!("read({})", path.display()))?,
        None => build(&format!("{}-unknown-linux-musl", env::consts::ARCH))?,
    };
    let about = about()?;
    let Written { bytes, digest } = layout::write(&options.output, &binary, &about)?;
    println!("{}: {digest}, {bytes} bytes", options.output.display());
    ensure!(bytes <= LIMIT, "the image has {bytes} bytes, more than {LIMIT}");
    if options.check {
        check(&options.output, &about.version)?;
        println!("read by skopeo and umoci; {PROGRAM} starts in a bare root directory");
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the binary, which then depends on nothing but the kernel.
fn build(target: &str) -> Result<Vec<u8>> {
    let checkout = checkout();
    if command::output(Command::new("rustup").arg("--version")).is_ok() {
        command::run(
            Command::new("rustup").current_dir(&checkout).args(["--quiet", "target", "add", target]),
        )?;
    }
    let home = env::var("CARGO_HOME")
        .or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    // The same bytes from another checkout.
    let remap = format!("--remap-path-prefix={}=. --remap-path-prefix={home}=/cargo", checkout.display());
    command::run(
        Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(&checkout)
            .env("RUSTFLAGS", format!("-Ctarget-feature=+crt-static {remap}"))
            .args(["build", "--locked", "--profile", "image", "--target", target])
            .args(["--package", "proxy-user", "--bin", "shunt"]),
    )?;
    let built = checkout.join("target").join(target).join("image/shunt");
    fs::read(&built).with_context(|| format!("read({})", built.display()))
}

fn about() -> Result<About> {
    let architecture = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("no image for {other}"),
    };
    let git = |arguments: &[&str]| {
        command::output(Command::new("git").current_dir(checkout()).env("TZ", "UTC").args(arguments))
    };
    Ok(About {
        architecture,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: git(&["rev-parse", "HEAD"]).ok(),
        created: git(&["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"])
            .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned()),
    })
}

/// Has others read the image, and runs what is in it.
fn check(image: &Path, version: &str) -> Result<()> {
    let work = checkout().join("target/image/check");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("remove({})", work.display()))?;
    }
    fs::create_dir_all(&work).with_context(|| format!("mkdir({})", work.display()))?;
    let source = format!("oci:{}:{version}", image.display());
    command::output(Command::new("skopeo").args(["inspect", &source]))?;
    let copy = format!("oci:{}:{version}", work.join("copy").display());
    command::output(Command::new("skopeo").args(["copy", &source, &copy]))?;
    let bundle = work.join("bundle");
    let image = format!("{}:{version}", image.display());
    command::output(Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle))?;
    let root = bundle.join("rootfs");
    // A runtime mounts what a container needs beside; here the manifests are all.
    let manifests = root.join("examples");
    fs::create_dir(&manifests).with_context(|| format!("mkdir({})", manifests.display()))?;
    for entry in fs::read_dir(checkout().join("examples")).context("read(examples)")? {
        let entry = entry?;
        fs::copy(entry.path(), manifests.join(entry.file_name())).context("copy(examples)")?;
    }
    let inside = |arguments: &[&str]| {
        command::output(
            Command::new("chroot")
                .arg(&root)
                .arg(PROGRAM)
                .args(arguments)
                .env_clear()
                .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        )
    };
    let says = inside(&["--version"])?;
    ensure!(says == format!("shunt {version}"), "{PROGRAM} --version says {says:?}");
    let plan = inside(&["plan", "--manifests", "/examples", "--node", "lab-node"])?;
    ensure!(plan.contains("default/web"), "{PROGRAM} plan says {plan:?}");
    let bears = command::output(Command::new("getcap").arg(root.join(PROGRAM.trim_start_matches('/'))))?;
    for (capability, _) in capability::CAPABILITIES {
        let name = format!("cap_{}", capability.to_lowercase());
        ensure!(bears.contains(&name), "{PROGRAM} lacks {name}: {bears}");
    }
    fs::remove_dir_all(&work).with_context(|| format!("remove({})", work.display()))
}
